//! `metalk8s plan`, `metalk8s apply` and `metalk8s drift`.

use std::path::PathBuf;

use clap::Args;
use metalk8s_diagnostics::Output;

const PLAN_EXAMPLES: &str = "\
Examples:
  metalk8s plan                          what would change, on all nodes
  metalk8s plan --node node-1            on one of them
  metalk8s plan -o plan.json             and keep it
  metalk8s apply plan.json               then do exactly that

Exit status:
  0  all nodes that were asked have answered
  1  it failed, and it was said why
  2  wrong usage
  4  a node did not answer, or could not look at all its states";

const APPLY_EXAMPLES: &str = "\
Examples:
  metalk8s plan -o plan.json
  metalk8s apply plan.json
  metalk8s apply plan.json --yes         without a question

Exit status:
  0  all of the plan is done
  1  a state failed: what was done is kept, and the same command goes on; or the answer was no
  2  wrong usage
  4  a node did not answer; nothing was changed
  5  the plan is not what would be done now; nothing was changed on the nodes that it names";

const DRIFT_EXAMPLES: &str = "\
Examples:
  metalk8s drift
  metalk8s drift --node node-1 --format json
  metalk8s plan                          shows what differs

Exit status:
  0  all nodes are what they shall be
  1  it failed, and it was said why
  2  wrong usage
  3  a node differs
  4  no node that was seen differs, but one did not answer or could not look at all its states";

/// Which nodes are asked, and how.
#[derive(Debug, Args)]
pub struct Asking {
    /// Only this node; may be given several times
    #[arg(long = "node", value_name = "NAME")]
    pub nodes: Vec<String>,
    /// How long an agent has to begin
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub timeout: u64,
    /// Form of the result on stdout
    #[arg(long, value_name = "text|json|yaml", default_value = "text")]
    pub format: Output,
}

/// Show what would change on each node now
///
/// Every agent compares its node with what the node shall be, and tells what it would change, with diffs. Nothing
/// is changed. What private files and Secrets hold is never shown.
#[derive(Debug, Args)]
#[command(after_help = PLAN_EXAMPLES)]
pub struct Plan {
    /// Which nodes.
    #[command(flatten)]
    pub asking: Asking,
    /// Keep the plan in this file, for `metalk8s apply`
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Do exactly what a plan says
///
/// All nodes on which the plan changes something compare it with what they would do now, before the first one is changed; where that is
/// something else, it is refused with the difference. Then nodes are changed one after the other, masters first, up
/// to the first failure. Can be run again: what is done already is left alone.
#[derive(Debug, Args)]
#[command(after_help = APPLY_EXAMPLES)]
pub struct Apply {
    /// A plan that `metalk8s plan -o FILE` has made
    pub plan: PathBuf,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// How long an agent has to begin
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub timeout: u64,
    /// Form of the result on stdout
    #[arg(long, value_name = "text|json|yaml", default_value = "text")]
    pub format: Output,
}

/// Say whether nodes are what they shall be
///
/// The same look as `metalk8s plan`, as a check: a line for each node, and an exit status. Each agent also looks
/// every hour by itself; `metalk8s node list` shows what it saw.
#[derive(Debug, Args)]
#[command(after_help = DRIFT_EXAMPLES)]
pub struct Drift {
    /// Which nodes.
    #[command(flatten)]
    pub asking: Asking,
}
