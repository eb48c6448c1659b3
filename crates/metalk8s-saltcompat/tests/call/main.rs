//! Functions of `salt-call` on a fake machine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod facts;
mod fake;
mod machine;
mod states;
mod words;
