//! The nodes of a cluster, for people: what they shall be, and what answers.

use std::{collections::BTreeSet, time::Duration};

use metalk8s_diagnostics::{Cell, Paint, Table};
use metalk8s_kube::{Fleet, fleet::FleetError};
use metalk8s_types::{Role, fleet::Drift};
use serde::Serialize;
use tokio::time::Instant;

use crate::dispatch::{Call, dispatch};

/// How long an agent has for an answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// One node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeSeen {
    /// Its name.
    pub node: String,
    /// Its roles, by the labels of its Node object.
    pub roles: BTreeSet<Role>,
    /// The version that it shall have, by its label.
    pub version: Option<String>,
    /// The version of its kubelet; empty where none has registered.
    pub kubelet: String,
    /// Whether the kubelet says that it is Ready.
    pub is_ready: bool,
    /// Whether nothing new is scheduled on it.
    pub is_cordoned: bool,
    /// How its agent stands.
    pub agent: AgentSeen,
    /// The version of its agent, where it has told one.
    pub agent_version: Option<String>,
    /// How it differs from what it shall be, as its agent saw it last.
    pub drift: Option<Drift>,
}

/// How an agent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentSeen {
    /// There is none: the node was not deployed.
    None,
    /// It answers.
    Answers,
    /// It does not answer.
    Silent,
}

/// All nodes, by name; every agent is asked.
///
/// # Errors
/// When the API cannot be asked.
pub async fn list(fleet: &Fleet) -> Result<Vec<NodeSeen>, FleetError> {
    let (nodes, agents) = (fleet.nodes().await?, fleet.agents().await?);
    let names: BTreeSet<String> = agents.iter().filter_map(|agent| agent.metadata.name.clone()).collect();
    let mut asked = dispatch(fleet, &names, &Call::ping(PATIENCE)).await;
    let mut answering = BTreeSet::new();
    let end = Instant::now() + PATIENCE;
    while let Some((node, _)) = asked.next(end).await {
        answering.insert(node);
    }
    let seen = nodes.into_iter().map(|node| {
        let agent = agents.iter().find(|agent| agent.metadata.name.as_deref() == Some(&*node.name));
        NodeSeen {
            roles: node.roles,
            version: node.version,
            kubelet: node.kubelet_version,
            is_ready: node.is_ready,
            is_cordoned: node.is_cordoned,
            agent: match agent {
                None => AgentSeen::None,
                Some(_) if answering.contains(&node.name) => AgentSeen::Answers,
                Some(_) => AgentSeen::Silent,
            },
            agent_version: agent.and_then(|agent| Some(agent.status.as_ref()?.version.clone())),
            drift: agent.and_then(|agent| agent.status.as_ref()?.drift.clone()),
            node: node.name,
        }
    });
    Ok(seen.collect())
}

/// Whether anything is left of a node of this name: its object, or its agent.
///
/// # Errors
/// When the API cannot be asked.
pub async fn is_known(fleet: &Fleet, node: &str) -> Result<bool, FleetError> {
    Ok(fleet.node(node).await?.is_some() || fleet.agent(node).await?.is_some())
}

/// A line for each node.
pub fn text(nodes: &[NodeSeen], paint: Paint) -> String {
    let mut table = Table::new(["NODE", "ROLES", "VERSION", "KUBELET", "STATUS", "AGENT", "DRIFT"]);
    for node in nodes {
        let roles: Vec<&str> = node.roles.iter().map(|role| role.name()).collect();
        table.row([
            Cell::plain(&node.node),
            Cell::plain(&roles.join(",")),
            Cell::plain(node.version.as_deref().unwrap_or_default()),
            Cell::plain(&node.kubelet),
            status(node),
            match node.agent {
                AgentSeen::None => Cell::plain(""),
                AgentSeen::Answers => Cell::painted("answers", Paint::green),
                AgentSeen::Silent => Cell::painted("silent", Paint::red),
            },
            drift(node.drift.as_ref()),
        ]);
    }
    table.text(paint)
}

fn drift(drift: Option<&Drift>) -> Cell {
    match drift.map(|drift| (drift.is_drifted(), drift.changes)) {
        None => Cell::plain(""),
        Some((Some(false), _)) => Cell::painted("none", Paint::green),
        Some((Some(true), 1)) => Cell::painted("1 state", Paint::yellow),
        Some((Some(true), changes)) => Cell::painted(&format!("{changes} states"), Paint::yellow),
        Some((None, _)) => Cell::painted("unknown", Paint::yellow),
    }
}

fn status(node: &NodeSeen) -> Cell {
    match (node.kubelet.is_empty(), node.is_ready, node.is_cordoned) {
        (true, _, _) => Cell::painted("not deployed", Paint::yellow),
        (false, false, _) => Cell::painted("not ready", Paint::red),
        (false, true, true) => Cell::painted("cordoned", Paint::yellow),
        (false, true, false) => Cell::painted("ready", Paint::green),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(changes: u32, error: Option<&str>) -> Drift {
        let since = jiff::Timestamp::UNIX_EPOCH;
        Drift { changes, states: Vec::new(), unchecked: 0, error: error.map(str::to_owned), since }
    }

    #[test]
    fn a_node_is_told_with_what_is_wrong_with_it() {
        let good = NodeSeen {
            node: "bootstrap".into(),
            roles: [Role::Master, Role::Etcd].into(),
            version: Some("1.0.0".into()),
            kubelet: "v1.35.4".into(),
            is_ready: true,
            is_cordoned: false,
            agent: AgentSeen::Answers,
            agent_version: Some("1.0.0".into()),
            drift: Some(seen(0, None)),
        };
        let bare = NodeSeen {
            node: "node-1".into(),
            roles: [Role::Node].into(),
            kubelet: String::new(),
            is_ready: false,
            agent: AgentSeen::None,
            drift: None,
            ..good.clone()
        };
        let broken = NodeSeen {
            node: "node-2".into(),
            is_ready: false,
            agent: AgentSeen::Silent,
            drift: Some(seen(2, None)),
            ..good.clone()
        };
        let closed = NodeSeen {
            node: "node-3".into(),
            is_cordoned: true,
            drift: Some(seen(0, Some("no settings"))),
            ..good.clone()
        };
        let expected = "\
NODE       ROLES        VERSION  KUBELET  STATUS        AGENT    DRIFT
bootstrap  etcd,master  1.0.0    v1.35.4  ready         answers  none
node-1     node         1.0.0    -        not deployed  -        -
node-2     etcd,master  1.0.0    v1.35.4  not ready     silent   2 states
node-3     etcd,master  1.0.0    v1.35.4  cordoned      answers  unknown
";
        assert_eq!(text(&[good, bare, broken, closed], Paint::new(false)), expected);
    }
}
