//! What an archive says about its images, and lists of API servers.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/metalk8s-gateway/tests/hostile/gateway_index.rs"]
mod gateway_index;

fuzz_target!(|bytes: &[u8]| gateway_index::check(bytes));
