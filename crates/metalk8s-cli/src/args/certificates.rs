//! `metalk8s certificates`.

use clap::Args;
use metalk8s_diagnostics::Output;

const EXAMPLES: &str = "\
Examples:
  metalk8s certificates
  metalk8s certificates --node node-1 --output json
  metalk8s certificates --local

Status:
  good        valid, and nothing is to be done
  due         being renewed by its node; or an authority that waits for the key of the root
  late        should have been renewed and was not: `metalk8s explain MK1605`
  expired     not valid any more, or not yet
  unreadable  the file holds no certificate

The exit status is 1 when one is late, expired or unreadable, or when a node does not answer; else 0.";

/// List all certificates of all nodes, and when each is renewed
///
/// Nodes renew their certificates by themselves, after two thirds of their life; the Bootstrap node renews the
/// authorities, while it has the roots' keys.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Certificates {
    /// Those of this node alone
    #[arg(long, value_name = "NODE", conflicts_with = "local")]
    pub node: Option<String>,
    /// Those of this machine, read from its files: no API is asked
    #[arg(long)]
    pub local: bool,
    /// Form of the list on stdout
    #[arg(short, long, visible_alias = "format", value_name = "text|json|yaml", default_value = "text")]
    pub output: Output,
}
