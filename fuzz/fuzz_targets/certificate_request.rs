//! Requests for certificates, as nodes send them.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/metalk8s-pki/tests/hostile/certificate_request.rs"]
mod certificate_request;

fuzz_target!(|bytes: &[u8]| certificate_request::check(bytes));
