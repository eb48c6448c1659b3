//! `metalk8s node`.

use clap::{Args, Subcommand};
use metalk8s_diagnostics::Output;
use metalk8s_types::VERSION;

const EXAMPLES: &str = "\
Examples:
  metalk8s node list
  metalk8s node deploy node-1 node-2";

/// List the nodes of the cluster, and bring machines to what their Node objects say
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Node {
    /// What to do.
    #[command(subcommand)]
    pub command: NodeCommand,
}

/// What can be done with nodes.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// List all nodes: roles, versions, and whether kubelet and agent answer
    List {
        /// Form of the result on stdout
        #[arg(short, long, value_name = "text|json|yaml", default_value = "text")]
        output: Output,
    },
    /// Bring machines to what their Node objects say, several at once
    ///
    /// The same as `salt-run state.orchestrate metalk8s.orchestrate.deploy_node`. What is done already is left
    /// alone. Ctrl-C leaves the runs going on.
    Deploy(NodeDeploy),
}

/// Which nodes are deployed, and how.
#[derive(Debug, Args)]
pub struct NodeDeploy {
    /// Names of the nodes
    #[arg(required = true)]
    pub nodes: Vec<String>,
    /// The version that they shall have
    #[arg(long, value_name = "VERSION", default_value = VERSION)]
    pub destination_version: String,
    /// Leave pods where they are
    #[arg(long)]
    pub skip_draining: bool,
    /// Form of the result on stdout
    #[arg(short, long, value_name = "text|json|yaml", default_value = "text")]
    pub output: Output,
    /// Plain lines instead of moving ones
    #[arg(long)]
    pub no_progress: bool,
}
