//! Heads of requests as clients may send them, their paths and ranges.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/metalk8s-gateway/tests/hostile/gateway_request.rs"]
mod gateway_request;

fuzz_target!(|bytes: &[u8]| gateway_request::check(bytes));
