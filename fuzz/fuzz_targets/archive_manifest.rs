//! What an archive says of itself: `manifest.json` and `product.txt`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/metalk8s-artifacts/tests/hostile/archive_manifest.rs"]
mod archive_manifest;

fuzz_target!(|bytes: &[u8]| archive_manifest::check(bytes));
