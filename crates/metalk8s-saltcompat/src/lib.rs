//! The only crate that knows Salt's wire forms, function names and SLS files.
//!
//! Begin with [`call`](fn@call), which carries out a function of `salt-call`. Below it are [`compile`], which
//! turns SLS files into a graph of the engine, and [`state_return`], which turns the engine's report into what
//! Salt's users and programs read; [`output`] prints it. For many machines, [`Target`] says who is meant, [`batch`]
//! who begins when, [`runner`] what is asked of the master, [`keys`] what becomes of keys, and [`api`] how all of
//! it is asked for over HTTP.
//!
//! Invariants: no file is opened and nothing is done but through the [`Minion`] and the [`FileRoots`] that
//! whoever calls gives. Every mistake in what people wrote is collected and reported at once, with its place.

pub mod api;
mod args;
pub mod batch;
mod call;
mod formulas;
mod functions;
mod glob;
mod grains;
pub mod keys;
mod nearest;
pub mod output;
mod pillar;
mod returns;
mod roots;
mod roster;
pub mod runner;
mod sls;
mod target;
mod tree;
mod words;
mod yaml;

/// The function that asks whether a machine answers.
pub const PING: &str = "test.ping";

pub use call::{
    About, CERTIFICATES, CallError, FUNCTIONS, Function, HEALTH, Minion, Returned, RunningJob,
    applies_states, call, must_not_be_repeated, reads_settings,
};
pub use formulas::{FORMULAS, Formula};
pub use glob::Glob;
pub use grains::grains_tree;
pub use pillar::{PillarNode, add_fleet, given_settings, pillar_tree, take_fleet};
pub use returns::{is_success, state_return};
pub use roots::{FileRoots, Found};
pub use roster::Roster;
pub use sls::{ChunkInfo, Compiled, compile, single};
pub use target::{Target, TargetKind, matching, subset};
pub use tree::{get, lookup};
pub use words::{Words, parse_words};
