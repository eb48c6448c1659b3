//! Pods of static manifests under a former name of their node.
//!
//! The kubelet calls such a pod by its manifest and its node. One that starts under another name runs them
//! all anew, beside the former ones, which hold ports and folders until it gets to ending them.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use metalk8s_engine::{Change, ChangeKind, StateError};
use metalk8s_types::paths;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Host,
    doing::Doing,
    program::{Program, ProgramError},
};

/// Says that a pod comes from a manifest on the disk (Kubernetes, `ConfigSourceAnnotationKey`).
const SOURCE: &str = "kubernetes.io/config.source";
/// How long a container has to end by itself.
const GRACE: &str = "--timeout=10";
const DEADLINE: Duration = Duration::from_secs(60);

/// What `crictl pods` and `crictl ps` list, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Listed {
    #[serde(default)]
    items: Vec<Sandbox>,
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Debug, Deserialize)]
struct Sandbox {
    id: String,
    metadata: Metadata,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Container {
    id: String,
}

pub(crate) async fn check(host: &Host, node: &str) -> Result<Option<Change>, StateError> {
    // A runtime that is not there yet runs no pods.
    let listed = list(host).await.unwrap_or_else(|error| {
        tracing::debug!(%error, "containerd did not list its pods");
        Vec::new()
    });
    let former = former(&listed, &manifests(host)?, node);
    let names: Vec<&str> = former.iter().map(|sandbox| sandbox.metadata.name.as_str()).collect();
    Ok((!names.is_empty()).then(|| Change::new(ChangeKind::Remove, format!("end {}", names.join(", ")))))
}

/// The kubelet is stopped first, since it would start them again under the name that it knows.
pub(crate) async fn end(host: &Host, node: &str) -> Result<(), StateError> {
    let doing = || "could not end pods of a former name".to_owned();
    host.program("systemctl").args(["stop", "kubelet.service"]).run().await.doing(doing)?;
    let listed = list(host).await.doing(doing)?;
    for sandbox in former(&listed, &manifests(host)?, node) {
        let running: Listed =
            read(host, &["ps", "--output=json", "--pod", &sandbox.id]).await.doing(doing)?;
        for container in &running.containers {
            crictl(host, &["stop", GRACE, &container.id]).run().await.doing(doing)?;
        }
        crictl(host, &["stopp", &sandbox.id]).run().await.doing(doing)?;
        crictl(host, &["rmp", &sandbox.id]).run().await.doing(doing)?;
    }
    Ok(())
}

/// Those pods of the manifests that are called after another node. Pure.
fn former<'a>(sandboxes: &'a [Sandbox], manifests: &[String], node: &str) -> Vec<&'a Sandbox> {
    let is_ours = |name: &str| manifests.iter().any(|manifest| name == format!("{manifest}-{node}"));
    let is_of_manifest =
        |name: &str| manifests.iter().any(|manifest| name.starts_with(&format!("{manifest}-")));
    let from_file =
        |sandbox: &&Sandbox| sandbox.annotations.get(SOURCE).is_some_and(|source| source == "file");
    sandboxes
        .iter()
        .filter(from_file)
        .filter(|sandbox| is_of_manifest(&sandbox.metadata.name) && !is_ours(&sandbox.metadata.name))
        .collect()
}

/// The names in the manifests that the kubelet reads. What is no pod is not run, and has none.
fn manifests(host: &Host) -> Result<Vec<String>, StateError> {
    let folder = Path::new(paths::MANIFESTS);
    let doing = || format!("could not list `{}`", folder.display());
    let entries = match fs::read_dir(host.real(folder)?) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.doing(doing)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.doing(doing)?.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let text = host.read_text(&folder.join(name))?.unwrap_or_default();
        let pod: Option<Value> = serde_saphyr::from_str(&text).ok();
        names.extend(pod.as_ref().and_then(|pod| pod["metadata"]["name"].as_str()).map(str::to_owned));
    }
    Ok(names)
}

async fn list(host: &Host) -> Result<Vec<Sandbox>, Unread> {
    read::<Listed>(host, &["pods", "--output=json"]).await.map(|listed| listed.items)
}

/// Why a list of the runtime could not be had.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error("the list of the container runtime is damaged")]
    Damaged(#[from] serde_json::Error),
}

async fn read<T: for<'de> Deserialize<'de>>(host: &Host, args: &[&str]) -> Result<T, Unread> {
    Ok(serde_json::from_str(&crictl(host, args).run().await?.stdout)?)
}

fn crictl(host: &Host, args: &[&str]) -> Program {
    host.program("crictl").args(args).deadline(DEADLINE)
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::{State, state::Removed};

    use super::*;
    use crate::testing::Lab;

    const PODS: &str = r#"{"items": [
        {"id": "aaa", "metadata": {"name": "etcd-rack-a", "uid": "1"},
         "annotations": {"kubernetes.io/config.source": "file"}},
        {"id": "bbb", "metadata": {"name": "etcd-a"}, "annotations": {"kubernetes.io/config.source": "file"}},
        {"id": "ccc", "metadata": {"name": "other-rack-a"},
         "annotations": {"kubernetes.io/config.source": "file"}},
        {"id": "ddd", "metadata": {"name": "etcd-backup"}, "annotations": {"kubernetes.io/config.source": "api"}},
        {"id": "eee", "metadata": {"name": "etcd-x"}}
    ]}"#;

    fn lab() -> Lab {
        let lab = Lab::new();
        lab.file("/etc/kubernetes/manifests/etcd.yaml", "metadata: {name: etcd}\n");
        lab.file("/etc/kubernetes/manifests/broken.yaml", "{");
        lab.file("/etc/kubernetes/manifests/.draft.yaml", "metadata: {name: other}\n");
        lab.file("/pods.json", PODS);
        lab.program("systemctl", "");
        lab.program(
            "crictl",
            r#"case "$1" in
            pods) cat "$ROOT/pods.json" ;;
            ps) echo '{"containers": [{"id": "in-'"$4"'"}]}' ;;
            rmp) echo '{"items": []}' > "$ROOT/pods.json" ;;
            esac"#,
        );
        lab
    }

    #[tokio::test]
    async fn pods_under_a_former_name_end_in_order_with_the_kubelet_stopped_before() {
        let lab = lab();
        let state = State::Removed(Removed::FormerStaticPods { node: "a".into() });
        let change = lab.settles(&state).await;
        assert_eq!(change.summary, "end etcd-rack-a");
        let calls = lab.calls();
        let done: Vec<&str> =
            calls.iter().map(String::as_str).filter(|call| !call.starts_with("crictl pods")).collect();
        assert_eq!(
            done,
            [
                "systemctl stop kubelet.service",
                "crictl ps --output=json --pod aaa",
                "crictl stop --timeout=10 in-aaa",
                "crictl stopp aaa",
                "crictl rmp aaa",
            ]
        );
    }

    #[tokio::test]
    async fn a_machine_without_a_runtime_has_none() {
        let state = State::Removed(Removed::FormerStaticPods { node: "a".into() });
        assert_eq!(Lab::new().check(&state).await.unwrap(), None);
        let lab = lab();
        lab.program("crictl", "echo 'no such socket' >&2; exit 1");
        assert_eq!(lab.check(&state).await.unwrap(), None);
    }

    #[tokio::test]
    async fn pods_that_cannot_be_listed_any_more_are_an_error() {
        let lab = lab();
        lab.program("crictl", "echo '{'");
        let error = end(&lab.host, "a").await.unwrap_err();
        assert!(crate::testing::chain(&error).contains("is damaged"), "{}", crate::testing::chain(&error));
    }
}
