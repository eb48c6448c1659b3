//! How programs speak: exit codes, error codes with explanations, hints, collected problems, logs, progress.
//!
//! Begin with [`Diagnose`], which an error implements to carry a code and hints, and [`Printer`], through
//! which a program says everything.
//!
//! Invariants: nothing here decides what a program does; a secret in [`Secret`] is never shown.

mod codes;
mod colour;
mod diagnose;
mod durations;
mod exit;
pub mod explain;
mod foreign;
pub mod logging;
mod printer;
mod problem;
mod progress;
mod render;
mod secret;
mod sentence;
mod table;

pub use codes::Code;
pub use colour::{Paint, colours_wanted};
pub use diagnose::{Diagnose, DiagnoseExt, Diagnosed, Hint, code_of, code_of_io};
pub use durations::Durations;
pub use exit::Exit;
pub use explain::{Explanation, explain};
pub use foreign::shortened;
pub use logging::{LogFile, LogFormat};
pub use printer::{Output, Printer};
pub use problem::{Problem, Problems};
pub use progress::{Progress, ProgressMode, RunningStep};
pub use render::render;
pub use secret::Secret;
pub use sentence::{coded_sentence, sentence};
pub use table::{Cell, Table};
