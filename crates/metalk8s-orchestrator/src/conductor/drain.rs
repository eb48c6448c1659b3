//! Pods leave a node before something happens to it (EXP-17): daemon sets stay, local data is lost, and a
//! PodDisruptionBudget is obeyed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use metalk8s_diagnostics::{explain, sentence};
use metalk8s_kube::fleet::{Evicted, FleetError, PodFacts};
use metalk8s_types::fleet::{DRAIN_SECONDS, RunSpec};
use tokio::time::{Instant, sleep};

use super::{
    failure::{Failure, told},
    hands::FleetHands,
    runs::Done,
};

/// How often it is looked which pods are left.
const LOOK: Duration = Duration::from_millis(500);
/// How long a budget is left alone after it stood against an eviction; `kubectl drain` does the same.
const AGAIN: Duration = Duration::from_secs(5);

/// What stands against the eviction of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Obstacle {
    /// A PodDisruptionBudget.
    Budget(String),
    /// The API, for now.
    Api(String),
}

impl Obstacle {
    fn text(&self) -> &str {
        match self {
            Self::Budget(why) | Self::Api(why) => why,
        }
    }
}

/// How a node is emptied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drain {
    /// How long pods may take.
    patience: Duration,
    /// Its machine is given up as soon as its kubelet is silent: nobody there will tell that a pod has ended.
    is_forced: bool,
}

impl Drain {
    /// As a run asks for it.
    pub(super) fn of(spec: &RunSpec) -> Self {
        let procedure = &spec.procedure;
        let seconds = procedure.drain_seconds.unwrap_or(DRAIN_SECONDS);
        Self { patience: Duration::from_secs(seconds.into()), is_forced: procedure.force }
    }

    /// Empties a closed node.
    ///
    /// # Errors
    /// When a pod is still there after the time that it had; those that left are elsewhere, the node is closed.
    pub(super) async fn empty(self, hands: &FleetHands, node: &str) -> Result<Done, Failure> {
        let end = Instant::now() + self.patience;
        let mut seen = BTreeSet::new();
        // What stands against each pod, and when it is to be asked again.
        let mut against: BTreeMap<String, (Obstacle, Instant)> = BTreeMap::new();
        let mut said = String::new();
        let mut is_lost = false;
        loop {
            let looked = async {
                // The API server takes a while to notice that a kubelet is silent.
                is_lost = is_lost || self.is_forced && is_silent(hands, node).await?;
                hands.fleet.pods_on(node).await
            };
            let left = match looked.await {
                Ok(pods) => leaving(pods),
                Err(error) if error.is_retryable() && Instant::now() < end => {
                    sleep(LOOK).await;
                    continue;
                }
                Err(error) => return Err(told(&error).lasting()),
            };
            against.retain(|name, _| left.iter().any(|pod| full_name(pod) == *name));
            if left.is_empty() {
                let comment = match seen.len() {
                    0 => "no pod had to go".to_owned(),
                    count => format!("{count} pods have gone"),
                };
                return Ok(Done { comment, changes: seen.into_iter().collect() });
            }
            for pod in &left {
                let name = full_name(pod);
                let is_waiting = against.get(&name).is_some_and(|(_, again)| *again > Instant::now());
                let is_asked = pod.is_ending && !is_lost;
                if !is_waiting && !is_asked {
                    match ask(hands, pod, is_lost).await {
                        Ok(Evicted::Accepted | Evicted::Gone) => drop(against.remove(&name)),
                        Ok(Evicted::Blocked(why)) => {
                            against.insert(name.clone(), (Obstacle::Budget(why), Instant::now() + AGAIN));
                        }
                        Err(error) if error.is_retryable() => {
                            let why = Obstacle::Api(sentence(&error));
                            against.insert(name.clone(), (why, Instant::now() + AGAIN));
                        }
                        Err(error) => return Err(told(&error)),
                    }
                }
                seen.insert(name);
            }
            let waiting: Vec<(String, Option<&Obstacle>)> = left
                .iter()
                .map(|pod| {
                    let name = full_name(pod);
                    let why = against.get(&name).map(|(why, _)| why);
                    (name, why)
                })
                .collect();
            if Instant::now() > end {
                return Err(self.stuck(node, &waiting));
            }
            let now = waits_for(&waiting);
            if now != said {
                hands.tell(&now).await;
                said = now;
            }
            sleep(LOOK).await;
        }
    }

    /// What is said of pods that did not go in time, and what can be done. Pure.
    fn stuck(self, node: &str, waiting: &[(String, Option<&Obstacle>)]) -> Failure {
        let mut lines = vec![format!(
            "{} pods of `{node}` did not go within {} s",
            waiting.len(),
            self.patience.as_secs()
        )];
        let mut is_blocked = false;
        for (pod, why) in waiting {
            is_blocked |= matches!(why, Some(Obstacle::Budget(_)));
            lines.push(match why {
                Some(why) => format!("pod `{pod}`: {}", why.text()),
                None => format!("pod `{pod}` was told to end, and has not ended"),
            });
        }
        if is_blocked {
            lines.push(
                "let the budgets allow it, with more replicas on other nodes or another PodDisruptionBudget: \
                 `kubectl get poddisruptionbudgets --all-namespaces`"
                    .to_owned(),
            );
        }
        lines.push(format!(
            "nothing else was changed: the node is closed for pods, and `kubectl uncordon {node}` opens it"
        ));
        Failure::of_lines(explain::PODS_STAY, lines)
    }
}

/// Which pods would have to leave a node.
pub(super) async fn would_leave(hands: &FleetHands, node: &str) -> Result<Done, Failure> {
    let pods = leaving(hands.fleet.pods_on(node).await.map_err(|error| told(&error))?);
    let comment = match pods.len() {
        0 => "no pod would have to go".to_owned(),
        count => format!("{count} pods would have to go"),
    };
    Ok(Done { comment, changes: pods.iter().map(full_name).collect() })
}

async fn is_silent(hands: &FleetHands, node: &str) -> Result<bool, FleetError> {
    let facts = hands.fleet.node(node).await?;
    Ok(facts.is_none_or(|facts| !facts.is_ready))
}

async fn ask(hands: &FleetHands, pod: &PodFacts, is_lost: bool) -> Result<Evicted, FleetError> {
    if !is_lost {
        return hands.fleet.evict(pod).await;
    }
    let was_there = hands.fleet.delete_pod_of_lost_machine(pod).await?;
    Ok(if was_there { Evicted::Accepted } else { Evicted::Gone })
}

/// The pods that have to go: daemon sets would bring theirs back at once, and the kubelet those of its files. Pure.
fn leaving(pods: Vec<PodFacts>) -> Vec<PodFacts> {
    let stays =
        |pod: &PodFacts| pod.is_mirror || pod.is_over || pod.controller.as_deref() == Some("DaemonSet");
    pods.into_iter().filter(|pod| !stays(pod)).collect()
}

/// What is waited for, in a line. Pure.
fn waits_for(waiting: &[(String, Option<&Obstacle>)]) -> String {
    let blocked = waiting.iter().find_map(|(pod, why)| Some((pod, (*why)?)));
    match (blocked, waiting.first()) {
        (Some((pod, why)), _) => format!("waiting for {} pods to go; `{pod}`: {}", waiting.len(), why.text()),
        (None, Some((pod, _))) => format!("waiting for {} pods to end, such as `{pod}`", waiting.len()),
        (None, None) => String::new(),
    }
}

fn full_name(pod: &PodFacts) -> String {
    format!("{}/{}", pod.namespace, pod.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, controller: Option<&str>) -> PodFacts {
        PodFacts {
            namespace: "shop".into(),
            name: name.into(),
            uid: name.into(),
            controller: controller.map(str::to_owned),
            is_mirror: false,
            is_over: false,
            is_ending: false,
        }
    }

    #[test]
    fn daemon_sets_mirrors_and_what_is_over_stay_and_all_others_go() {
        let pods = vec![
            pod("web", Some("ReplicaSet")),
            pod("by-hand", None),
            pod("proxy", Some("DaemonSet")),
            PodFacts { is_mirror: true, ..pod("etcd", Some("Node")) },
            PodFacts { is_over: true, ..pod("backup", Some("Job")) },
            PodFacts { is_ending: true, ..pod("going", Some("ReplicaSet")) },
        ];
        let names: Vec<_> = leaving(pods).into_iter().map(|pod| pod.name).collect();
        assert_eq!(names, ["web", "by-hand", "going"]);
    }

    #[test]
    fn whoever_did_not_go_is_named_with_its_budget_and_what_to_do() {
        let drain = Drain { patience: Duration::from_secs(9), is_forced: false };
        let budget = "The disruption budget web needs 1 healthy pods and has 1 currently";
        let blocked = Obstacle::Budget(budget.to_owned());
        let waiting = [("shop/web-0".to_owned(), Some(&blocked)), ("shop/slow".to_owned(), None)];
        let lines = drain.stuck("node1", &waiting).into_lines();
        assert_eq!(lines[0], "2 pods of `node1` did not go within 9 s (MK1712)");
        assert_eq!(lines[1], format!("pod `shop/web-0`: {budget}"));
        assert!(lines[2].contains("`shop/slow` was told to end"));
        assert!(lines[3].contains("poddisruptionbudgets") && lines[4].contains("kubectl uncordon node1"));
        assert!(waits_for(&waiting).contains(budget));
        let slow = drain.stuck("node1", &waiting[1..]).into_lines();
        assert!(!slow.iter().any(|line| line.contains("budget")), "{slow:?}");
        let silent = Obstacle::Api("could not evict it: no answer".to_owned());
        let silent = drain.stuck("node1", &[("shop/web-0".to_owned(), Some(&silent))]).into_lines();
        assert!(silent[1].ends_with("no answer"), "{silent:?}");
        assert!(!silent.iter().any(|line| line.contains("budget")), "{silent:?}");
    }
}
