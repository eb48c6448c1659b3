//! What the conductor calls on a machine that joins.

use clap::{Args, Subcommand};

/// Join a cluster: called over SSH by the conductor
///
/// Reads JSON from stdin and writes JSON to stdout.
#[derive(Debug, Args)]
#[command(hide = true)]
pub struct Join {
    /// What to do.
    #[command(subcommand)]
    pub command: JoinCommand,
}

/// The steps in which a machine joins.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum JoinCommand {
    /// Look whether it can be what it shall be; changes nothing
    Examine,
    /// Install the agent and make its key
    Prepare,
    /// Start the agent with its certificate
    Finish,
}
