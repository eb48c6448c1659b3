//! The journal of a run, as a crash may leave it.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/metalk8s-engine/tests/hostile/run_journal.rs"]
mod run_journal;

fuzz_target!(|bytes: &[u8]| run_journal::check(bytes));
