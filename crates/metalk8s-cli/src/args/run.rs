//! `metalk8s run`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use metalk8s_diagnostics::Output;
use metalk8s_engine::journal::RunId;
use metalk8s_types::paths;

/// Look at what was run on this machine
#[derive(Debug, Args)]
pub struct Run {
    /// What to do.
    #[command(subcommand)]
    pub command: RunCommand,
}

/// What can be done with runs.
#[derive(Debug, Subcommand)]
pub enum RunCommand {
    /// List all runs, the newest at the end
    List {
        /// Where the journals are and what form the result has.
        #[command(flatten)]
        journals: Journals,
    },
    /// Show the steps of a run and what failed last
    Show {
        /// Such as 20260112071130203596; without one, the newest
        run: Option<RunId>,
        /// Where the journals are and what form the result has.
        #[command(flatten)]
        journals: Journals,
    },
}

/// Where the journals are and what form the result has.
#[derive(Debug, Args)]
pub struct Journals {
    /// The folder with the journals
    #[arg(long, value_name = "DIRECTORY", default_value = paths::RUNS)]
    pub journals: PathBuf,
    /// Form of the result on stdout
    #[arg(short, long, value_name = "text|json|yaml", default_value = "text")]
    pub output: Output,
}
