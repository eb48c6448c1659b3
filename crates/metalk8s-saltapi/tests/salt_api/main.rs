//! Every path, over a fleet in memory.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod access;
mod client;
mod events;
mod fake;
mod limits;
mod lowstate;
mod over_tls;
mod paths;
