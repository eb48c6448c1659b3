//! The objects through which the nodes of a cluster are told what to do: the Kubernetes API is the bus.
//!
//! An [`Agent`] holds the jobs of one node and what became of them. Whoever may write its spec may do
//! anything on that node; its own agent may read it and write its status, and nothing else. A [`Run`] is a
//! procedure over nodes with the record of its steps.
//!
//! Invariant: none of them carries a secret.

mod agent;
mod run;

use kube_core::CustomResourceExt;
use serde_json::Value;

pub use agent::{
    Agent, AgentSpec, AgentStatus, Condition, DRIFT_NAMES, DRIFTED, Drift, Job, JobState, JobStatus,
};
pub use run::{
    DRAIN_SECONDS, Procedure, ProcedureName, Run, RunPhase, RunSpec, RunStatus, RunStep, StepState,
};

/// The API group of the fleet.
pub const GROUP: &str = "fleet.metalk8s.scality.com";
/// What agents are called in paths and rights.
pub const AGENTS_PLURAL: &str = "agents";
/// The namespace of its objects.
pub const NAMESPACE: &str = "metalk8s-fleet";
/// The Secret in [`NAMESPACE`] with the settings that all nodes share.
pub const SETTINGS: &str = "settings";
/// Its key: a [`crate::pillar::ClusterPillar`] in JSON.
pub const SETTINGS_KEY: &str = "pillar.json";

/// The group that every agent's certificate names.
pub const AGENTS: &str = "metalk8s:agents";
/// The user of the conductor.
pub const CONDUCTOR: &str = "metalk8s:conductor";
/// The user of the HTTP API.
pub const SALT_API: &str = "metalk8s:salt-api";

/// What an agent's user is called before the name of its node.
const AGENT_PREFIX: &str = "metalk8s:agent:";

/// The user that the agent of a node is.
pub fn agent_user(node: &str) -> String {
    format!("{AGENT_PREFIX}{node}")
}

/// The node whose agent this user is.
pub fn node_of_agent(user: &str) -> Option<&str> {
    user.strip_prefix(AGENT_PREFIX)
}

/// The definitions of both kinds, as they are applied.
pub fn definitions() -> [Value; 2] {
    [Agent::crd(), Run::crd()]
        .map(|crd| serde_json::to_value(crd).expect("a definition is made of what JSON has"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_the_agent_of_one_node_or_of_none() {
        assert_eq!(node_of_agent(&agent_user("node-1")), Some("node-1"));
        assert_eq!(node_of_agent("system:node:node-1"), None);
    }

    #[test]
    fn both_kinds_have_a_status_of_their_own_and_live_in_a_namespace() {
        for crd in definitions() {
            assert_eq!(crd["spec"]["scope"], "Namespaced");
            assert_eq!(crd["spec"]["group"], GROUP);
            let version = &crd["spec"]["versions"][0];
            assert!(version["subresources"]["status"].is_object(), "{version}");
        }
    }
}
