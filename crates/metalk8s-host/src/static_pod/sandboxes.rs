//! Pods of static manifests as the container runtime knows them.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use metalk8s_engine::StateError;
use metalk8s_types::{labels::CONFIG_DIGEST, paths};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Host,
    doing::Doing,
    program::{Program, ProgramError},
};

/// Says that a pod comes from a manifest on the disk (Kubernetes, `ConfigSourceAnnotationKey`).
const SOURCE: &str = "kubernetes.io/config.source";
/// What the runtime calls a sandbox whose pod has not ended.
const READY: &str = "SANDBOX_READY";
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

/// A pod in the runtime.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Sandbox {
    id: String,
    metadata: Metadata,
    #[serde(default)]
    state: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Container {
    id: String,
}

impl Sandbox {
    /// The name of its pod, `<name in the manifest>-<node>`.
    pub(super) fn name(&self) -> &str {
        &self.metadata.name
    }

    /// Whether it has not ended.
    pub(super) fn is_ready(&self) -> bool {
        self.state == READY
    }

    /// The digest of all that the manifest said when it started.
    pub(super) fn digest(&self) -> Option<&str> {
        self.annotations.get(CONFIG_DIGEST).map(String::as_str)
    }
}

/// A manifest that the kubelet reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    /// The name of the pod in it.
    pub(super) name: String,
    /// The digest of all that it says, where it is one of ours.
    pub(super) digest: Option<String>,
}

/// The manifests that the kubelet reads. What is no pod is not run.
pub(super) fn manifests(host: &Host) -> Result<Vec<Manifest>, StateError> {
    let folder = Path::new(paths::MANIFESTS);
    let doing = || format!("could not list `{}`", folder.display());
    let entries = match fs::read_dir(host.real(folder)?) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.doing(doing)?,
    };
    let mut manifests = Vec::new();
    for entry in entries {
        let name = entry.doing(doing)?.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let text = host.read_text(&folder.join(name))?.unwrap_or_default();
        let Ok(pod) = serde_saphyr::from_str::<Value>(&text) else { continue };
        let Some(name) = pod["metadata"]["name"].as_str() else { continue };
        manifests.push(Manifest {
            name: name.to_owned(),
            digest: pod["metadata"]["annotations"][CONFIG_DIGEST].as_str().map(str::to_owned),
        });
    }
    Ok(manifests)
}

/// All pods of manifests on the disk.
pub(super) async fn list(host: &Host) -> Result<Vec<Sandbox>, Unread> {
    let mut sandboxes = read::<Listed>(host, &["pods", "--output=json"]).await?.items;
    sandboxes.retain(|sandbox| sandbox.annotations.get(SOURCE).is_some_and(|source| source == "file"));
    Ok(sandboxes)
}

/// The same; a runtime that is not there yet runs no pods.
pub(super) async fn list_if_any(host: &Host) -> Vec<Sandbox> {
    list(host).await.unwrap_or_else(|error| {
        tracing::debug!(%error, "containerd did not list its pods");
        Vec::new()
    })
}

/// Ends a pod and forgets it. Whoever would start it again does not run.
pub(super) async fn end(host: &Host, sandbox: &Sandbox) -> Result<(), Unread> {
    let running: Listed = read(host, &["ps", "--output=json", "--pod", &sandbox.id]).await?;
    for container in &running.containers {
        crictl(host, &["stop", GRACE, &container.id]).run().await?;
    }
    crictl(host, &["stopp", &sandbox.id]).run().await?;
    crictl(host, &["rmp", &sandbox.id]).run().await?;
    Ok(())
}

/// Why the runtime did not do something.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
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

/// A runtime for tests: it lists `/pods.json`, each pod with one container, and none once one was forgotten.
#[cfg(test)]
pub(super) const CRICTL: &str = r#"case "$1" in
    pods) cat "$ROOT/pods.json" ;;
    ps) echo '{"containers": [{"id": "in-'"$4"'"}]}' ;;
    rmp) echo '{"items": []}' > "$ROOT/pods.json" ;;
    esac"#;
