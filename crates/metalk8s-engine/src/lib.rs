//! The typed states as plain data, the graph that orders them, and the way from a graph to a report.
//!
//! Begin with [`State`] and [`Graph`]; then [`Hands`], the trait of those who make states true; then
//! [`check_all`], which makes a [`Plan`], and [`apply`](fn@apply), which makes a [`Report`].
//!
//! Invariants: this crate knows what a state is, never how one is made true; it opens no file, runs no
//! program and speaks to no cluster. A graph is plain data: it prints, serialises and compares.

mod apply;
mod chain;
mod changes;
mod check;
mod clock;
pub mod fake;
mod graph;
mod hands;
pub mod journal;
mod observer;
mod plan;
mod report;
pub mod state;

pub use apply::{ApplyOptions, apply};
pub use chain::Chain;
pub use changes::{Agreed, ChangeSet, Diff, Difference, PendingChange, PendingKind, Unchecked};
pub use check::{check_all, test};
pub use clock::{Clock, SystemClock};
pub use graph::{Graph, GraphError, Guard, Requisite, RequisiteKind, Retry, StateId, Step};
pub use hands::{Change, ChangeKind, Hands, Ran, StateError};
pub use observer::Observer;
pub use plan::{Plan, PlanStep, Planned};
pub use report::{Outcome, Report, StepReport, Totals};
pub use state::State;
