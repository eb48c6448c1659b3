//! States that are asked of the master: the agent of its machine, which is the Bootstrap node, makes them.

use std::{collections::BTreeSet, time::Duration};

use metalk8s_diagnostics::{Code, Diagnose, explain};
use metalk8s_kube::fleet::FleetError;
use metalk8s_saltcompat::{output::Answer, runner::StatesCall};
use metalk8s_types::{Role, fleet::Agent};

use super::{Call, Dispatched, dispatch};
use crate::{bus::Bus, master::Answers};

/// The least time that an agent has to begin.
const LEAST: Duration = Duration::from_secs(5);
/// The longest that states may take.
const LONGEST: Duration = Duration::from_secs(6 * 3600);

/// Why states were given to nobody.
#[derive(Debug, thiserror::Error)]
pub enum ToBootstrapError {
    /// The bus.
    #[error(transparent)]
    Bus(#[from] FleetError),
    /// There is no such agent.
    #[error("no agent has the role `bootstrap`, whose machine is that of the master")]
    Nobody,
}

impl Diagnose for ToBootstrapError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Bus(error) => error.code(),
            Self::Nobody => Some(explain::NODE_UNKNOWN),
        }
    }
}

/// Gives these states to the agent of the Bootstrap node, which has `patience` to begin.
///
/// # Errors
/// When there is no such agent, or the API cannot be asked.
pub(crate) async fn dispatch_to_bootstrap(
    bus: &dyn Bus,
    states: &StatesCall,
    patience: Duration,
) -> Result<Dispatched, ToBootstrapError> {
    let agents = bus.agents().await?;
    let node = bootstrap(&agents).ok_or(ToBootstrapError::Nobody)?;
    let call = Call {
        begin_within: patience.max(LEAST),
        ..Call::new(states.function, states.words.iter().cloned(), LONGEST)
    };
    Ok(dispatch(bus, &BTreeSet::from([node]), &call).await)
}

/// What the only node of a job returned, which had `patience` to begin.
pub async fn only_answer(given: Dispatched, patience: Duration) -> Answer {
    let mut answers = Answers::new(given, patience);
    answers.next().await.map_or(Answer::NotConnected, |(_, answer)| answer)
}

fn bootstrap(agents: &[Agent]) -> Option<String> {
    let found = agents.iter().find(|agent| agent.spec.roles.contains(&Role::Bootstrap))?;
    found.metadata.name.clone()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn agent(name: &str, roles: &[&str]) -> Agent {
        let addresses = json!({"controlPlane": "10.0.0.1", "workloadPlane": "10.0.0.1"});
        serde_json::from_value(json!({
            "apiVersion": "fleet.metalk8s.scality.com/v1alpha1", "kind": "Agent", "metadata": {"name": name},
            "spec": {"version": "1", "roles": roles, "addresses": addresses},
        }))
        .unwrap()
    }

    #[test]
    fn the_bootstrap_node_is_known_by_its_role() {
        let others = [agent("bootstrap", &["master"]), agent("node-1", &[])];
        assert_eq!(bootstrap(&others), None, "a name is no role");
        let all = [others, [agent("first", &["master", "bootstrap"]), agent("node-2", &["node"])]].concat();
        assert_eq!(bootstrap(&all).as_deref(), Some("first"));
    }
}
