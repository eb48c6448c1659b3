//! What Salt's master does: has minions answer, calls its own functions, carries out procedures.
//!
//! Begin with [`call`](fn@call), which does what `salt-run` and the HTTP API ask for; [`Answers`] are those of a job.

mod answers;
mod call;
mod jobs;
mod orchestration;

use metalk8s_types::fleet::Agent;
use serde_json::Value;

pub use answers::{Answers, answer};
pub use call::{CallMasterError, Told, call};
pub use jobs::jobs;
pub use orchestration::{Orchestration, OrchestrationError, Progress, outcome};

/// The name of an agent.
pub fn name(agent: &Agent) -> &str {
    agent.metadata.name.as_deref().unwrap_or_default()
}

/// Names and grains of agents, as targets are compared with them.
pub fn minions(agents: &[Agent]) -> impl Iterator<Item = (&str, Option<&Value>)> {
    agents.iter().map(|agent| (name(agent), agent.status.as_ref().map(|status| &status.grains)))
}
