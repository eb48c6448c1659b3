//! The structures of an ISO.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/metalk8s-artifacts/tests/hostile/archive_iso.rs"]
mod archive_iso;

fuzz_target!(|bytes: &[u8]| archive_iso::check(bytes));
