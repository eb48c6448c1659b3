//! `metalk8s node`.

use clap::{Args, Subcommand};
use metalk8s_diagnostics::Output;
use metalk8s_types::{VERSION, fleet::DRAIN_SECONDS};

const EXAMPLES: &str = "\
Examples:
  metalk8s node list
  metalk8s node deploy node-1 node-2
  metalk8s node deploy node-1 --dry-run   # what each step would do
  metalk8s node remove node-1";

/// List the nodes of the cluster, bring machines to what their Node objects say, and let nodes go
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
    /// Let a node leave the cluster, and make its machine what it was before
    ///
    /// Its pods go elsewhere first, as their PodDisruptionBudgets allow; then its member of etcd, its packages, files
    /// and interfaces, its agent with its key, and its Node object. The Bootstrap node, the last master, and a
    /// member that etcd needs for its majority are refused. What was removed already is left alone: the same
    /// command goes on after any interruption. Ctrl-C leaves the run going on. The same as `salt-run
    /// state.orchestrate metalk8s.orchestrate.remove_node`.
    #[command(after_help = REMOVE_EXAMPLES)]
    Remove(NodeRemove),
}

const REMOVE_EXAMPLES: &str = "\
Examples:
  metalk8s node remove node-1
  metalk8s node remove node-1 --dry-run
  metalk8s node remove node-1 --drain-timeout 1800
  metalk8s node remove node-1 --force   # its machine is lost";

/// Which node goes, and how.
#[derive(Debug, Args)]
pub struct NodeRemove {
    /// Name of the node
    pub node: String,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// How many seconds its pods may take to leave it; then the run fails, and the node stays closed
    #[arg(long, value_name = "SECONDS", default_value_t = DRAIN_SECONDS)]
    pub drain_timeout: u32,
    /// Go on without the machine when its agent does not answer: it is lost
    ///
    /// Its pods are taken as ended, and run elsewhere: make sure that the machine is off. Nothing is undone on it;
    /// `metalk8s reset` does that, should it come back.
    #[arg(long)]
    pub force: bool,
    /// Show what each step would do, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: exit with 3 when something would change
    #[arg(long, requires = "dry_run")]
    pub exit_code: bool,
    /// Form of the result on stdout
    #[arg(short, long, value_name = "text|json|yaml", default_value = "text")]
    pub output: Output,
    /// Plain lines instead of moving ones
    #[arg(long)]
    pub no_progress: bool,
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
    /// Leave pods where they are, also where the roles or the version of a deployed node change
    #[arg(long)]
    pub skip_draining: bool,
    /// How many seconds pods may take to leave a node
    #[arg(long, value_name = "SECONDS", default_value_t = DRAIN_SECONDS)]
    pub drain_timeout: u32,
    /// Show what each step would do, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: exit with 3 when something would change
    #[arg(long, requires = "dry_run")]
    pub exit_code: bool,
    /// Form of the result on stdout
    #[arg(short, long, value_name = "text|json|yaml", default_value = "text")]
    pub output: Output,
    /// Plain lines instead of moving ones
    #[arg(long)]
    pub no_progress: bool,
}
