//! The configuration of a bootstrap, which a person wrote.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/metalk8s-types/tests/hostile/configuration.rs"]
mod configuration;

fuzz_target!(|bytes: &[u8]| configuration::check(bytes));
