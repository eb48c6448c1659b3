//! What would change on nodes: looked at, kept in a file, applied exactly so.
//!
//! On a node, [`look`] tells what would change and [`carry_out`] does what was agreed upon. Over the fleet,
//! [`ask`] has nodes look, and [`Application`] has them carry out a [`PlanFile`]. [`record`] is how a node keeps
//! what it saw, for its agent to tell.
//!
//! Invariant: nothing is changed that is not in the plan, but for what reacts to it.

mod apply;
mod drift;
mod file;
mod fleet;
mod node;
mod text;

use std::time::Duration;

use jiff::Timestamp;
use metalk8s_engine::{Agreed, ChangeSet, Difference, StateId};
use metalk8s_types::VERSION;
use serde::{Deserialize, Serialize};

pub use apply::{Application, ApplyPlanError, Checked};
pub use drift::{Verdict, record};
pub use file::{PlanFile, PlanFileError};
pub use fleet::{AskError, Asked, ask};
pub use node::{NodeError, Reply, Request, carry_out, look};
pub use text::{applied_text, checked_lines, drift_text, plan_text};

/// The function by which an agent is asked what would change on its node.
pub const LOOK: &str = "metalk8s.plan";
/// The function by which an agent carries out what was agreed upon: an [`Order`] in JSON.
pub const CARRY_OUT: &str = "metalk8s.apply";
/// The name of its runs in journals.
const RUN: &str = "apply";
/// How many bytes of JSON a plan may have; an agent hands on twice as many, as each quote is written with several.
const LIMIT: usize = 160 << 10;
/// How long a look may take.
const LONGEST_LOOK: Duration = Duration::from_secs(300);
/// How long the changes of one node may take.
const LONGEST_APPLY: Duration = Duration::from_secs(3600);

/// What would change on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePlan {
    /// The version of the program that looked.
    pub version: String,
    /// When it looked.
    pub at: Timestamp,
    /// What it found.
    #[serde(flatten)]
    pub changes: ChangeSet,
}

/// Exactly these changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The version of the program that made the plan. Another one has other states.
    pub version: String,
    /// The digest over `changes`.
    pub digest: String,
    /// What was agreed upon.
    pub changes: Vec<Agreed>,
    /// Only compare, and change nothing.
    pub only_check: bool,
}

/// What a node says to an [`Order`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// Something else would be done now; nothing was changed.
    Refused {
        /// What is different.
        difference: Difference,
    },
    /// Only compared: it would do exactly that.
    Agrees {
        /// How many states it would change.
        to_do: usize,
        /// States for which nothing is to be done any more.
        done: Vec<StateId>,
    },
    /// It was carried out.
    Applied {
        /// How many states were changed.
        changed: usize,
        /// How many of the plan were done before.
        done_before: usize,
        /// Where states failed: a line each, with causes.
        failed: Vec<String>,
    },
}

impl NodePlan {
    /// What was found now, by this program.
    pub fn now(changes: ChangeSet) -> Self {
        Self { version: VERSION.to_owned(), at: Timestamp::now(), changes }
    }

    /// Exactly this plan, as its node is told to carry it out.
    pub fn order(&self, only_check: bool) -> Order {
        Order {
            version: self.version.clone(),
            digest: self.changes.digest.clone(),
            changes: self.changes.agreed(),
            only_check,
        }
    }
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::{
        Change, ChangeKind, Graph, Plan, PlanStep, Planned, State,
        state::{Contents, File},
    };
    use metalk8s_types::{
        Role,
        fleet::{Agent, AgentSpec},
        pillar::NodeAddresses,
    };

    use super::*;

    /// A state of this name.
    pub(super) fn step(name: &str, planned: Planned) -> PlanStep {
        let file = File {
            path: format!("/{name}").into(),
            contents: Contents::Text("new\n".into()),
            mode: None,
            user: None,
            group: None,
            validate: None,
        };
        let state = State::File(file);
        let what = state.label();
        PlanStep { id: Graph::default().add(name, state), what, planned }
    }

    /// Files of these names that would be written.
    pub(super) fn changes(names: &[&str]) -> ChangeSet {
        let written = |name: &&str| {
            let change = Change {
                before: Some("old\n".into()),
                after: Some("new\n".into()),
                ..Change::new(ChangeKind::Update, format!("write /{name}"))
            };
            step(name, Planned::Change { change })
        };
        ChangeSet::of(&Plan { steps: names.iter().map(written).collect() })
    }

    /// An agent that has told nothing.
    pub(super) fn agent(name: &str, roles: &[Role]) -> Agent {
        let address = "10.0.0.1".parse().unwrap();
        let spec = AgentSpec {
            version: VERSION.to_owned(),
            roles: roles.iter().copied().collect(),
            addresses: NodeAddresses { control_plane: address, workload_plane: address },
            initial_cluster: None,
            jobs: Default::default(),
            certificates: Default::default(),
        };
        Agent::new(name, spec)
    }
}
