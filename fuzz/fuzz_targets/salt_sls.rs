//! SLS files.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/metalk8s-saltcompat/tests/hostile/salt_sls.rs"]
mod salt_sls;

fuzz_target!(|bytes: &[u8]| salt_sls::check(bytes));
