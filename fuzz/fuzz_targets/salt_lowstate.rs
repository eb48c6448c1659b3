//! Bodies of requests to the HTTP API of Salt's master.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/metalk8s-saltcompat/tests/hostile/salt_lowstate.rs"]
mod salt_lowstate;

fuzz_target!(|bytes: &[u8]| salt_lowstate::check(bytes));
