//! Targets: which minions are meant.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/metalk8s-saltcompat/tests/hostile/salt_target.rs"]
mod salt_target;

fuzz_target!(|bytes: &[u8]| salt_target::check(bytes));
