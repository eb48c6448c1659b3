//! The only crate that knows Salt's wire forms, function names and SLS files.
//!
//! Begin with [`compile`], which turns SLS files into a graph of the engine, and [`state_return`], which
//! turns the engine's report into what Salt's users and programs read; [`output`] prints it.
//!
//! Invariants: nothing is applied here, and no file is opened: whoever calls gives [`FileRoots`]. Every
//! mistake in what people wrote is collected and reported at once, with its place.

mod args;
mod functions;
mod nearest;
pub mod output;
mod returns;
mod roots;
mod sls;
mod tree;
mod words;
mod yaml;

pub use returns::{is_success, state_return};
pub use roots::{FileRoots, Found};
pub use sls::{ChunkInfo, Compiled, compile, single};
pub use tree::{get, lookup};
pub use words::{Words, parse_words};
