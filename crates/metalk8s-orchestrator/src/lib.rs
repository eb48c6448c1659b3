//! Procedures over machines, each a list of stages decided before the first is applied.
//!
//! Begin with [`mod@bootstrap`]; [`stages`] carries out what a procedure decided.
//!
//! Invariants: what is read and what is decided comes before anything is changed; a finished stage is
//! recorded before the next one begins; a procedure goes forward only.

pub mod api_servers;
pub mod archives;
pub mod authorities;
pub mod backup;
pub mod bootstrap;
pub mod bus;
pub mod certificates;
pub mod conductor;
mod configuration;
pub mod dispatch;
pub mod doctor;
mod file;
mod https;
pub mod join;
mod lock;
pub mod master;
pub mod nodes;
mod observer;
mod pillar;
pub mod plans;
pub mod precheck;
pub mod programs;
mod requests;
pub mod reset;
mod run_journal;
pub mod runs;
pub mod ssh;
pub mod stages;
pub mod survey;
#[cfg(test)]
mod testing;
mod verified;

pub use configuration::{ConfigurationError, ConfigurationFile};
pub use lock::{LockError, RunLock, holder, lock, lock_within};
pub use pillar::PillarError;
pub use requests::Requests;
pub use run_journal::{OpenJournalError, RunJournal, journals};
pub use verified::{VerifyError, code_of_problem};
