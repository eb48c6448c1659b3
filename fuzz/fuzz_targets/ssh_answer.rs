//! What a machine answers when it is called over SSH.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/metalk8s-orchestrator/tests/hostile/ssh_answer.rs"]
mod ssh_answer;

fuzz_target!(|bytes: &[u8]| ssh_answer::check(bytes));
