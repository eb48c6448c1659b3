//! The file of a plan, which anybody may have changed.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/metalk8s-orchestrator/tests/hostile/plan_file.rs"]
mod plan_file;

fuzz_target!(|bytes: &[u8]| plan_file::check(bytes));
