//! An OCI image layout: `index.json`, manifests and configurations.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/metalk8s-artifacts/tests/hostile/archive_layout.rs"]
mod archive_layout;

fuzz_target!(|bytes: &[u8]| archive_layout::check(bytes));
