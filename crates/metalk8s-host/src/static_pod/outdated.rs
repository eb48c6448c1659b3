//! Pods that run as their manifests were before.
//!
//! A kubelet replaces a pod whose manifest has changed, but one that has not reached an API server since its own
//! start ends nothing ("housekeeping, skipped" in its log). Where the API server is behind the very pod that has
//! changed, neither would ever come: as after the address of the only master has changed.

use std::time::Duration;

use metalk8s_engine::{Change, ChangeKind, StateError};
use tokio::time::{Instant, sleep};

use super::sandboxes::{self, Manifest, Sandbox};
use crate::{Host, doing::Doing};

/// How long the kubelet may take for a pod: its grace period of 30 s is not used up by ours.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(250);

pub(crate) async fn check(host: &Host, node: &str) -> Result<Option<Change>, StateError> {
    let names = names(&outdated(&sandboxes::list_if_any(host).await, &sandboxes::manifests(host)?, node));
    let change =
        || Change::new(ChangeKind::Update, format!("run {} as their manifests are now", names.join(", ")));
    Ok((!names.is_empty()).then(change))
}

/// The kubelet does it, or it is done in its place.
pub(crate) async fn replace(host: &Host, node: &str) -> Result<(), StateError> {
    replace_within(host, node, PATIENCE).await
}

async fn replace_within(host: &Host, node: &str, patience: Duration) -> Result<(), StateError> {
    let doing = || "could not replace pods whose manifests have changed".to_owned();
    let manifests = sandboxes::manifests(host)?;
    let mut left = usize::MAX;
    let mut end = Instant::now();
    let sandboxes = loop {
        let listed = sandboxes::list(host).await.doing(doing)?;
        let outdated: Vec<Sandbox> = outdated(&listed, &manifests, node).into_iter().cloned().collect();
        if outdated.is_empty() {
            return Ok(());
        }
        if outdated.len() < left {
            (left, end) = (outdated.len(), Instant::now() + patience);
        } else if Instant::now() > end {
            break outdated;
        }
        sleep(LOOK.min(patience)).await;
    };
    tracing::info!(pods = ?names(&sandboxes.iter().collect::<Vec<_>>()), "the kubelet does not replace them");
    host.program("systemctl").args(["stop", "kubelet.service"]).run().await.doing(doing)?;
    let mut ended = Ok(());
    for sandbox in &sandboxes {
        ended = ended.and(sandboxes::end(host, sandbox).await);
    }
    // Whatever became of them, a machine without a kubelet would be worse.
    host.program("systemctl").args(["start", "kubelet.service"]).run().await.doing(doing)?;
    ended.doing(doing)
}

/// Those pods of this node that still run as a manifest of ours was before. Pure.
fn outdated<'a>(sandboxes: &'a [Sandbox], manifests: &[Manifest], node: &str) -> Vec<&'a Sandbox> {
    let is_outdated = |sandbox: &&Sandbox| {
        sandbox.is_ready()
            && manifests.iter().any(|manifest| {
                sandbox.name() == format!("{}-{node}", manifest.name)
                    && manifest.digest.is_some()
                    && sandbox.digest() != manifest.digest.as_deref()
            })
    };
    sandboxes.iter().filter(is_outdated).collect()
}

fn names(sandboxes: &[&Sandbox]) -> Vec<String> {
    sandboxes.iter().map(|sandbox| sandbox.name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::{State, state::Removed};

    use super::{super::sandboxes::CRICTL, *};
    use crate::testing::Lab;

    fn lab(pods: &str) -> Lab {
        let lab = Lab::new();
        let manifest = |name: &str, digest: &str| {
            format!(
                "metadata: {{name: {name}, annotations: {{metalk8s.scality.com/config-digest: {digest}}}}}\n"
            )
        };
        lab.file("/etc/kubernetes/manifests/etcd.yaml", &manifest("etcd", "new"));
        lab.file("/etc/kubernetes/manifests/same.yaml", &manifest("same", "new"));
        lab.file("/etc/kubernetes/manifests/mine.yaml", "metadata: {name: mine}\n");
        let pod = |line: &str| {
            let [name, digest, state] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            format!(
                r#"{{"id": "{name}-{digest}", "metadata": {{"name": "{name}"}}, "state": "SANDBOX_{state}",
                    "annotations": {{"kubernetes.io/config.source": "file",
                    "metalk8s.scality.com/config-digest": "{digest}"}}}}"#
            )
        };
        let pods: Vec<String> =
            pods.lines().map(str::trim).filter(|line| !line.is_empty()).map(pod).collect();
        lab.file("/pods.json", &format!(r#"{{"items": [{}]}}"#, pods.join(",")));
        lab.program("systemctl", "");
        lab.program("crictl", CRICTL);
        lab
    }

    const PODS: &str = "
        etcd-a old READY
        etcd-a older NOTREADY
        etcd-b old READY
        same-a new READY
        mine-a old READY";

    #[tokio::test]
    async fn a_pod_that_the_kubelet_does_not_replace_is_ended_while_no_kubelet_runs() {
        let lab = lab(PODS);
        let state = State::Removed(Removed::OutdatedStaticPods { node: "a".into() });
        let change = lab.check(&state).await.unwrap().unwrap();
        assert_eq!(change.summary, "run etcd-a as their manifests are now");
        replace_within(&lab.host, "a", Duration::ZERO).await.unwrap();
        assert_eq!(lab.check(&state).await.unwrap(), None);
        let calls = lab.calls();
        let done: Vec<&str> =
            calls.iter().map(String::as_str).filter(|call| !call.starts_with("crictl pods")).collect();
        assert_eq!(
            done,
            [
                "systemctl stop kubelet.service",
                "crictl ps --output=json --pod etcd-a-old",
                "crictl stop --timeout=10 in-etcd-a-old",
                "crictl stopp etcd-a-old",
                "crictl rmp etcd-a-old",
                "systemctl start kubelet.service",
            ]
        );
    }

    #[tokio::test]
    async fn a_kubelet_that_replaces_them_is_left_alone_and_one_that_was_stopped_starts_again() {
        let lab = lab("etcd-a new READY\nsame-a new READY");
        replace_within(&lab.host, "a", Duration::ZERO).await.unwrap();
        assert!(lab.calls().iter().all(|call| call.starts_with("crictl pods")), "{:?}", lab.calls());
        let lab = self::lab(PODS);
        lab.program(
            "crictl",
            r#"case "$1" in pods) cat "$ROOT/pods.json" ;; *) echo no >&2; exit 1 ;; esac"#,
        );
        replace_within(&lab.host, "a", Duration::ZERO).await.unwrap_err();
        assert_eq!(lab.calls().last().unwrap(), "systemctl start kubelet.service");
    }
}
