//! The greeting of an SSH server that has no key.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/metalk8s-ssh/tests/hostile/ssh_greeting.rs"]
mod ssh_greeting;
#[path = "../../crates/metalk8s-ssh/tests/hostile/wire.rs"]
mod wire;

fuzz_target!(|bytes: &[u8]| ssh_greeting::check(bytes));
