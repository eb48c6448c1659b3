//! What procedures have in common: what the conductor knows of its fleet, and has nodes do.

use std::{collections::BTreeSet, time::Duration};

use metalk8s_diagnostics::{coded_sentence, explain, sentence};
use metalk8s_engine::Hands;
use metalk8s_formulas::agent_states;
use metalk8s_kube::{Cluster, Fleet};
use metalk8s_types::{
    environment,
    fleet::Agent,
    pillar::{ClusterPillar, NodeWish},
};
use serde_json::Value;

use super::{
    ConductorConfig, cluster_pillar,
    etcd::Etcd,
    failure::{Failure, told},
    runs::Done,
    settings::renew,
};
use crate::dispatch::{Call, job, leave};

/// How long an agent has for a ping.
pub(super) const PING: Duration = Duration::from_secs(5);
/// How long a node may be away and still do what it was told meanwhile.
pub(super) const AWAY: Duration = Duration::from_secs(30 * 24 * 3600);
/// The formula by which a node learns of the others.
pub(super) const NEIGHBOURS: &str = "metalk8s.node.neighbours";
/// How long the roles of a node may take.
const APPLY: Duration = Duration::from_secs(1200);

/// The conductor's hands in its fleet.
pub(super) struct FleetHands {
    pub(super) fleet: Fleet,
    pub(super) config: ConductorConfig,
    /// The run that is carried out with them.
    run: String,
}

impl FleetHands {
    pub(super) fn new(fleet: &Fleet, config: &ConductorConfig, run: &str) -> Self {
        Self { fleet: fleet.clone(), config: config.clone(), run: run.to_owned() }
    }

    /// Tells what the step waits for; it goes on where nobody can be told.
    pub(super) async fn tell(&self, message: &str) {
        tracing::info!(message, "a step waits");
        if let Err(error) = self.fleet.tell_of_run(&self.run, message).await {
            tracing::warn!(error = sentence(&error), "what a step waits for could not be told");
        }
    }

    /// Keeps new pods from a node.
    pub(super) async fn cordon(&self, node: &str) -> Result<Done, Failure> {
        let is_change = self.fleet.cordon(node, true).await.map_err(|error| told(&error))?;
        Ok(if is_change {
            Done::change("no pod comes any more", "cordoned")
        } else {
            Done::nothing("it was closed before")
        })
    }

    /// The settings of the cluster as they should be now.
    pub(super) async fn settings(&self) -> Result<ClusterPillar, Failure> {
        let agents = self.fleet.agents().await.map_err(|error| told(&error))?;
        let (configuration, archives) = (&self.config.configuration, &self.config.archives);
        tokio::task::block_in_place(|| cluster_pillar(configuration, archives, &agents))
            .map_err(|error| told(&error))
    }

    /// All nodes know these settings from now on; returns what was changed.
    pub(super) async fn renew_settings(&self) -> Result<Vec<String>, Failure> {
        let is_change = renew(&self.fleet, &self.config).await.map_err(|error| told(&error))?;
        Ok(is_change.then(|| "settings of the cluster".to_owned()).into_iter().collect())
    }

    /// The agent of a node, where it has one.
    pub(super) async fn agent(&self, node: &str) -> Result<Option<Agent>, Failure> {
        self.fleet.agent(node).await.map_err(|error| told(&error))
    }

    /// Whether the agent of a node answers.
    pub(super) async fn answers(&self, node: &str) -> Result<bool, Failure> {
        Ok(match self.agent(node).await?.and_then(|agent| agent.status) {
            Some(_) => job(&self.fleet, node, &Call::ping(PING)).await.is_ok(),
            None => false,
        })
    }

    /// Makes the node one of the fleet, with what it shall be; returns what was changed.
    pub(super) async fn shall_be(&self, node: &str, wish: &NodeWish) -> Result<Vec<String>, Failure> {
        let cluster = Cluster::lazy(&self.config.kubeconfig);
        let mut changes = Vec::new();
        for state in agent_states(node, wish) {
            let failed =
                |error: metalk8s_engine::StateError| Failure::new(explain::STATE_FAILED, sentence(&error));
            if let Some(change) = cluster.check(&state).await.map_err(failed)? {
                changes.push(cluster.apply(&state, &change).await.map_err(failed)?.summary);
            }
        }
        Ok(changes)
    }

    /// Has a node apply states of a version.
    pub(super) async fn apply(
        &self,
        node: &str,
        version: &str,
        function: &str,
        names: &[&str],
    ) -> Result<Done, Failure> {
        // A conductor that was killed may have left a job that is still being carried out.
        let words = [names, &["queue=True"]].concat();
        let Summary { changed, states, .. } = self.states(node, version, function, &words).await?;
        Ok(Done { comment: format!("{} of {states} states changed", changed.len()), changes: changed })
    }

    /// What a node would change if it applied states of a version.
    pub(super) async fn foresee(&self, node: &str, version: &str, function: &str) -> Result<Done, Failure> {
        let Summary { would_change, states, .. } =
            self.states(node, version, function, &["test=True"]).await?;
        Ok(Done {
            comment: format!("{} of {states} states would change", would_change.len()),
            changes: would_change,
        })
    }

    /// Has a node call a function that makes states, none of which fails.
    async fn states(
        &self,
        node: &str,
        version: &str,
        function: &str,
        words: &[&str],
    ) -> Result<Summary, Failure> {
        let words = words.iter().map(|word| (*word).to_owned());
        let words = words.chain([format!("saltenv={}", environment(version))]);
        let call = Call::new(function, words, APPLY);
        let (retcode, returned) = job(&self.fleet, node, &call).await.map_err(|error| told(&error))?;
        let summary = summary(&returned);
        match (retcode, summary.failed.is_empty()) {
            (0, true) => Ok(summary),
            (_, false) => Err(Failure::of_lines(explain::STATE_FAILED, summary.failed)),
            (_, true) => {
                let line = format!("`{function}` on `{node}` ended with {retcode}: {returned}");
                Err(Failure::new(explain::AGENT_FAILED, line))
            }
        }
    }

    /// The etcd of the other nodes, where the settings are these.
    pub(super) fn etcd_but_of(node: &str, settings: &ClusterPillar) -> Result<Etcd, Failure> {
        let others = settings.etcd.iter().filter(|(other, _)| *other != node);
        Etcd::new(others.map(|(_, address)| *address).collect()).map_err(|error| told(&error))
    }

    /// Every node, but this one if any, knows of all others that there are now: it balances over their API servers,
    /// and lets them in.
    pub(super) async fn tell_others(&self, but: Option<&str>) -> Result<Done, Failure> {
        let agents = self.fleet.agents().await.map_err(|error| told(&error))?;
        let others = agents.into_iter().filter_map(|agent| agent.metadata.name);
        self.tell_nodes(others.filter(|name| Some(name.as_str()) != but).collect()).await
    }

    /// These nodes know of all others that there are now.
    pub(super) async fn tell_nodes(&self, nodes: BTreeSet<String>) -> Result<Done, Failure> {
        let call = Call::new("state.apply", [NEIGHBOURS, "queue=True"], Duration::from_secs(120));
        let told_to = futures::future::join_all(nodes.iter().map(|node| job(&self.fleet, node, &call))).await;
        let mut changes = Vec::new();
        let mut silent = Vec::new();
        let mut away = BTreeSet::new();
        for (node, answer) in nodes.iter().zip(told_to) {
            match answer {
                Ok((0, returned)) if !summary(&returned).changed.is_empty() => {
                    changes.push(format!("neighbours of {node}"))
                }
                Ok((0, _)) => {}
                Ok((_, returned)) => {
                    return Err(Failure::of_lines(explain::STATE_FAILED, summary(&returned).failed));
                }
                Err(error) => {
                    silent.push(format!("{node}: {}", coded_sentence(&error)));
                    away.insert(node.clone());
                }
            }
        }
        if !away.is_empty() {
            // Nobody waits for it: its agent finds the job when it is there again.
            let call = Call { begin_within: AWAY, ..call };
            leave(&self.fleet, &away, &call).await.map_err(|error| told(&error))?;
        }
        let comment = match silent.is_empty() {
            true => format!("{} nodes know it", nodes.len()),
            false => {
                format!("these did not answer, and do it when they are there again: {}", silent.join("; "))
            }
        };
        Ok(Done { comment, changes })
    }
}

/// The return of a state function, a line for each state that matters.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    changed: Vec<String>,
    would_change: Vec<String>,
    failed: Vec<String>,
    /// How many states there were.
    states: usize,
}

fn summary(returned: &Value) -> Summary {
    let mut summary = Summary::default();
    for state in returned.as_object().into_iter().flat_map(|map| map.values()) {
        summary.states += 1;
        let text = |key: &str| state[key].as_str().unwrap_or_default();
        let line = format!("{}: {}", text("__id__"), text("comment").lines().next().unwrap_or_default());
        match state["result"] {
            Value::Bool(false) => summary.failed.push(line),
            Value::Null => summary.would_change.push(line),
            _ if state["changes"].as_object().is_some_and(|map| !map.is_empty()) => {
                summary.changed.push(line)
            }
            _ => {}
        }
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_apart_by_what_became_of_them() {
        let returned = serde_json::json!({
            "a": {"__id__": "a", "result": true, "comment": "done", "changes": {"x": 1}},
            "b": {"__id__": "b", "result": false, "comment": "no\nbecause", "changes": {}},
            "c": {"__id__": "c", "result": true, "comment": "", "changes": {}},
            "d": {"__id__": "d", "result": null, "comment": "would", "changes": {"x": 1}},
        });
        let expected = Summary {
            changed: vec!["a: done".to_owned()],
            would_change: vec!["d: would".to_owned()],
            failed: vec!["b: no".to_owned()],
            states: 4,
        };
        assert_eq!(summary(&returned), expected);
    }
}
