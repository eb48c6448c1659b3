//! What a machine says of a command, once it has let us in.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/metalk8s-ssh/tests/hostile/ssh_session.rs"]
mod ssh_session;
#[path = "../../crates/metalk8s-ssh/tests/hostile/wire.rs"]
mod wire;

fuzz_target!(|bytes: &[u8]| ssh_session::check(bytes));
