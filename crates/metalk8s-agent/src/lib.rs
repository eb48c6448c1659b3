//! The daemon of every node: takes its jobs from the API, has them carried out, reports.
//!
//! Begin with [`serve`]. What is to be done about a job is decided by `decide`, from what the API wishes and
//! what the [`Spool`] on the disk remembers; [`carry_out`] is what the process does that carries one out.
//!
//! Invariants: a job is on the disk before it is begun, and its result before it is told. A job that must be
//! run once is begun once. The daemon itself changes nothing on the node.

mod daemon;
mod decide;
mod drift;
mod looks;
mod process;
mod renewal;
mod report;
mod spool;
mod worker;

pub use daemon::{AgentConfig, ServeError, serve};
pub use looks::Looks;
pub use spool::{Spool, SpoolError};
pub use worker::{Outcome, carry_out};
