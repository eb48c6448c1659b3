//! `metalk8s reset`.

use clap::Args;
use metalk8s_diagnostics::Output;

const EXAMPLES: &str = "\
Examples:
  metalk8s reset --plan          # what would be removed
  metalk8s reset                 # shows it, asks, removes it
  metalk8s reset --yes --force   # of a node whose cluster is given up";

/// Make this machine what it was before it became a node
///
/// Names everything that it will remove, asks, and removes it: services, pods with their processes and mounts,
/// network interfaces and rules of the packet filter, packages, files, users. All data of etcd and of pods on this
/// machine is lost, and so are backups in /var/lib/metalk8s. It needs no cluster and no network; what is gone already is left alone, so that the same
/// command goes on after an interruption. A BootstrapConfiguration, and keys that a person has put beside it,
/// stay. Kernel parameters and modules keep their values until the next boot. `metalk8s node remove` does this on
/// a machine of a cluster that works, after its pods have gone elsewhere.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Reset {
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    pub plan: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Also where this machine is a member of a cluster that answers
    #[arg(long)]
    pub force: bool,
    /// Form of the plan and of the summary on stdout
    #[arg(short, long, value_name = "text|json|yaml", default_value = "text")]
    pub output: Output,
    /// Plain lines instead of moving ones
    #[arg(long)]
    pub no_progress: bool,
    /// Leave the agent, which has called this and tells how it went
    #[arg(long, hide = true)]
    pub keep_agent: bool,
    /// Remove nothing, and have the agent speak to this API server from now on
    #[arg(long, hide = true, value_name = "URL", conflicts_with = "keep_agent")]
    pub redirect_agent: Option<String>,
}
