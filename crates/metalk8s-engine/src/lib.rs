//! The typed states as plain data, the graph that orders them, and the way from a graph to a report.
//!
//! Begin with [`State`] and [`Graph`]; then [`Hands`], the trait of those who make states true.
//!
//! Invariants: this crate knows what a state is, never how one is made true; it opens no file, runs no
//! program and speaks to no cluster. A graph is plain data: it prints, serialises and compares.

mod graph;
mod hands;
pub mod state;

pub use graph::{Graph, GraphError, Requisite, RequisiteKind, StateId, Step};
pub use hands::{Change, ChangeKind, Hands, StateError};
pub use state::State;
