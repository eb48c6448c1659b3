//! What the Kubernetes API tells: nodes, pods, leases and runs.

use jiff::{SignedDuration, Timestamp};
use metalk8s_diagnostics::explain::{
    CHECK_IMPOSSIBLE, LEASE_NOT_HELD, NODE_UNWELL, POD_NOT_RUNNING, RUN_FAILED,
};
use metalk8s_kube::fleet::{NodeSurvey, PodSurvey};

use super::{
    super::{
        Area, Finding, Verdict,
        facts::{LeaseSeen, RunSeen},
    },
    count,
};

/// How long the start of a pod may take before it is worth a word.
const START: SignedDuration = SignedDuration::from_mins(2);
/// What a clock that reads a lease may be away from the one that wrote it.
const CLOCKS: SignedDuration = SignedDuration::from_secs(30);

/// Whether every Node that has a kubelet is Ready and under no pressure.
pub(crate) fn nodes(nodes: &[NodeSurvey]) -> Verdict {
    let mut findings = Vec::new();
    for node in nodes.iter().filter(|node| node.has_kubelet) {
        let conditions = node.conditions.iter();
        let wrong = conditions.filter(|condition| match condition.kind.as_str() {
            "Ready" => condition.status != "True",
            _ => condition.status == "True",
        });
        for condition in wrong {
            let message = format!("{} is {}: {}", condition.kind, condition.status, condition.message);
            findings.push(Finding::error(NODE_UNWELL, &node.name, message));
        }
        if !node.conditions.iter().any(|condition| condition.kind == "Ready") {
            findings.push(Finding::error(NODE_UNWELL, &node.name, "nobody says whether it is Ready"));
        }
    }
    let undeployed = nodes.iter().filter(|node| !node.has_kubelet);
    findings.extend(
        undeployed
            .map(|node| Finding::warning(NODE_UNWELL, &node.name, "it was described, and not deployed")),
    );
    Verdict::new(Area::Nodes, count(nodes.len(), "node", "nodes"), findings)
}

/// Whether every pod runs, or ended well.
pub(crate) fn pods(pods: &[PodSurvey], now: Timestamp) -> Verdict {
    let late = pods.iter().filter(|pod| now.duration_since(pod.since) > START);
    let findings = late
        .filter_map(|pod| Some(Finding::error(POD_NOT_RUNNING, &pod.name, pod.trouble.as_ref()?)))
        .collect();
    Verdict::new(Area::Pods, count(pods.len(), "pod", "pods"), findings)
}

/// Whether somebody holds each lease, and renews it.
pub(crate) fn leases(leases: &[LeaseSeen], now: Timestamp) -> Verdict {
    let findings = leases.iter().filter_map(|LeaseSeen { name, lease }| {
        Some(match lease {
            Err(why) => Finding::warning(CHECK_IMPOSSIBLE, *name, why),
            Ok(None) => Finding::error(LEASE_NOT_HELD, *name, "there is no such lease"),
            Ok(Some(lease)) => {
                let since = now.duration_since(lease.renewed);
                match &lease.holder {
                    None => Finding::error(LEASE_NOT_HELD, *name, "nobody holds it"),
                    Some(holder) if since > lease.duration + CLOCKS => {
                        let message = format!("{holder} has not renewed it for {} s", since.as_secs());
                        Finding::error(LEASE_NOT_HELD, *name, message)
                    }
                    Some(_) => return None,
                }
            }
        })
    });
    Verdict::new(Area::Leases, count(leases.len(), "lease", "leases"), findings.collect())
}

/// Whether the last run for each node went well.
pub(crate) fn runs(runs: &[RunSeen]) -> Verdict {
    let failed = runs.iter().filter(|run| run.failed);
    let findings = failed
        .map(|run| {
            Finding::warning(RUN_FAILED, format!("run {}", run.run), format!("{}: {}", run.node, run.message))
        })
        .collect();
    Verdict::new(Area::Runs, format!("the last of {}", count(runs.len(), "node", "nodes")), findings)
}

#[cfg(test)]
mod tests {
    use metalk8s_kube::fleet::{Condition, LeaseSurvey};

    use super::*;
    use crate::precheck::Severity;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn node(kind: &str, status: &str) -> NodeSurvey {
        let condition = |kind: &str, status: &str| Condition {
            kind: kind.into(),
            status: status.into(),
            message: "why".into(),
        };
        let mut conditions = vec![condition("Ready", "True"), condition("DiskPressure", "False")];
        conditions.retain(|other| other.kind != kind);
        conditions.push(condition(kind, status));
        NodeSurvey { name: "a".into(), conditions, addresses: Vec::new(), has_kubelet: true }
    }

    #[test]
    fn a_node_must_be_ready_and_without_pressure() {
        let messages = |node: NodeSurvey| {
            let verdict = nodes(&[node]);
            verdict.findings.into_iter().map(|finding| finding.message).collect::<Vec<_>>()
        };
        assert_eq!(messages(node("Ready", "True")), [""; 0]);
        assert_eq!(messages(node("Ready", "Unknown")), ["Ready is Unknown: why"]);
        assert_eq!(messages(node("DiskPressure", "True")), ["DiskPressure is True: why"]);
        let silent = NodeSurvey { conditions: Vec::new(), ..node("Ready", "True") };
        assert_eq!(messages(silent), ["nobody says whether it is Ready"]);
        let undeployed = NodeSurvey { has_kubelet: false, ..node("Ready", "True") };
        assert_eq!(nodes(&[undeployed]).findings[0].severity, Severity::Warning);
    }

    #[test]
    fn a_pod_that_starts_is_given_time() {
        let pod = |trouble: Option<&str>| PodSurvey {
            name: "b/a".into(),
            trouble: trouble.map(str::to_owned),
            since: at(0),
        };
        assert_eq!(pods(&[pod(Some("CrashLoopBackOff"))], at(60)).findings, []);
        assert_eq!(pods(&[pod(None)], at(600)).findings, []);
        assert_eq!(pods(&[pod(Some("CrashLoopBackOff"))], at(600)).findings[0].subject, "b/a");
    }

    #[test]
    fn a_lease_must_be_held_and_renewed() {
        let lease = |holder: Option<&str>, renewed| LeaseSeen {
            name: "conductor",
            lease: Ok(Some(LeaseSurvey {
                holder: holder.map(str::to_owned),
                renewed: at(renewed),
                duration: SignedDuration::from_secs(15),
            })),
        };
        assert_eq!(leases(&[lease(Some("a"), 0)], at(40)).findings, []);
        assert_eq!(
            leases(&[lease(Some("a"), 0)], at(60)).findings[0].message,
            "a has not renewed it for 60 s"
        );
        assert_eq!(leases(&[lease(None, 0)], at(1)).findings[0].message, "nobody holds it");
        let denied = LeaseSeen { name: "conductor", lease: Err("forbidden".into()) };
        assert_eq!(leases(&[denied], at(1)).findings[0].code, CHECK_IMPOSSIBLE);
    }

    #[test]
    fn a_failed_run_is_named_with_its_node() {
        let run = |failed| RunSeen { run: "2026".into(), node: "a".into(), failed, message: "why".into() };
        assert_eq!(runs(&[run(false)]).findings, []);
        let verdict = runs(&[run(true)]);
        assert_eq!(
            (verdict.findings[0].subject.as_str(), verdict.findings[0].message.as_str()),
            ("run 2026", "a: why")
        );
    }
}
