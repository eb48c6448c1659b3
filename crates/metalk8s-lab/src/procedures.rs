//! The manual, command by command: what it prints, what must be seen, and whether it is so.
//!
//! The folder `tests/procedures` holds every procedure of the manual as data. Begin at [`Book`], which reads it;
//! [`call()`] makes the command line of an entry, [`judge()`] looks at what came of it, [`Runner`] does both on the
//! machines behind a [`Place`], and [`Report`] counts.
//!
//! Invariants: the text of an entry stays as it is printed, and what is done to run it stands beside it. An entry
//! of another form is adapted, says why, and is counted apart.

pub mod book;
pub mod call;
pub mod entry;
pub mod facts;
pub mod judge;
pub mod report;
pub mod runner;

#[cfg(test)]
mod tests;

pub use book::{Book, ReadBookError};
pub use call::{Call, CallError, Where, call};
pub use entry::{Expect, Form, Kind, Location, Need, Procedure, Run, Section, Status};
pub use facts::Facts;
pub use judge::{Verdict, judge};
pub use report::{Counts, Outcome, Report};
pub use runner::{Place, Runner};
