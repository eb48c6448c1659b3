//! What procedures on this machine have in common: how it is told what happens.

use clap::{Args, builder::FalseyValueParser};
use metalk8s_diagnostics::Output;

/// How it is told what happens.
#[derive(Debug, Args)]
pub struct Telling {
    /// Form of the plan and of the summary on stdout
    #[arg(short, long, value_name = "text|json|yaml", default_value = "text")]
    pub output: Output,
    /// Show the details of each step
    #[arg(short, long, env = "VERBOSE", num_args = 0, default_value_t = false, value_parser = FalseyValueParser::new())]
    pub verbose: bool,
    /// Plain lines instead of moving ones
    #[arg(long)]
    pub no_progress: bool,
}
