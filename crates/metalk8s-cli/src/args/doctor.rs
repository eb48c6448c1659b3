//! `metalk8s doctor`.

use clap::Args;
use metalk8s_diagnostics::Output;

const EXAMPLES: &str = "\
Examples:
  metalk8s doctor
  metalk8s doctor --output json
  metalk8s explain MK2003

The exit status is 0 when all is well, 1 when something must be done, and 4 when there are warnings alone.
What cannot be looked at, such as a node that does not answer, is told as such, and the rest is looked at all the
same. On a master as root everything can be reached.";

/// Look at everything that can be reached, and say what is wrong and what to do
///
/// API servers, etcd, leases, nodes, agents, clocks, addresses, disks, certificates, images, DNS, pods and runs. It
/// never changes anything.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Doctor {
    /// Form of the report on stdout
    #[arg(short, long, visible_alias = "format", value_name = "text|json|yaml", default_value = "text")]
    pub output: Output,
}
