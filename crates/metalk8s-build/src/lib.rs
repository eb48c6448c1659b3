//! The build chain: from the repository to the signed ISO, in the words of `./doit.sh`.
//!
//! Begin at [`chain`], which lists all tasks, and [`runner`], which carries them out. Each task's result lies in
//! a store under the user's cache, named by a digest of everything it is made from, so that a second build, also
//! of a fresh clone, only does what is new.
//!
//! Invariants: a task reads nothing that its key does not cover; results appear whole or not at all; the same
//! inputs give the same bytes.

pub mod book;
pub mod chain;
pub mod cli;
pub mod codegen;
pub mod command;
pub mod completion;
pub mod components;
pub mod conformance;
pub mod context;
pub mod debian;
pub mod format;
pub mod graph;
pub mod housekeeping;
pub mod images;
pub mod iso;
pub mod keys;
pub mod layers;
pub mod licences;
pub mod lint;
pub mod packages;
pub mod packaging;
pub mod pin;
pub mod populate;
pub mod program;
pub mod progress;
pub mod reproduce;
pub mod runner;
pub mod sbom;
pub mod settings;
pub mod store;
pub mod task;
pub mod vagrant;
pub mod versions;

pub use context::Context;
pub use task::{Outcome, Step, Task};
