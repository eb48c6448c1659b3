//! `metalk8s run`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use metalk8s_diagnostics::Output;
use metalk8s_engine::journal::RunId;
use metalk8s_types::paths;

/// Look at what was run on this machine and in its fleet, and go on with it
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
    /// Show the steps of a run of the fleet as they go; Ctrl-C leaves it going on
    Watch {
        /// Such as 20260112071130203596
        run: RunId,
        /// Plain lines instead of moving ones
        #[arg(long)]
        no_progress: bool,
    },
    /// Go on with a run of the fleet that failed or was cancelled
    ///
    /// A new run of the same procedure is begun: what is done is left alone.
    Resume {
        /// Such as 20260112071130203596
        run: RunId,
        /// Plain lines instead of moving ones
        #[arg(long)]
        no_progress: bool,
    },
    /// End a run of the fleet after the step that is being done
    Cancel {
        /// Such as 20260112071130203596
        run: RunId,
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
