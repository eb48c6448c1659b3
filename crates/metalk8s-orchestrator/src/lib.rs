//! Procedures over machines, each a list of stages decided before the first is applied.
//!
//! Begin with [`mod@bootstrap`].
//!
//! Invariants: what is read and what is decided comes before anything is changed; a finished stage is
//! recorded before the next one begins; a procedure goes forward only.

pub mod bootstrap;
mod lock;
mod observer;
mod pillar;
pub mod precheck;
mod run_journal;
mod verified;

pub use lock::{LockError, RunLock, lock};
pub use pillar::PillarError;
pub use run_journal::{OpenJournalError, RunJournal, journals};
pub use verified::VerifyError;
