//! Images and static pods of a node.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// An image in containerd's `k8s.io` namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// The full reference, such as `metalk8s-registry-from-config.invalid/metalk8s-0.1.0/etcd:3.6.16`.
    pub reference: String,
    /// The digest of its manifest, `sha256:...`.
    pub digest: String,
    /// Where it comes from.
    pub source: ImageSource,
    /// Whether the kubelet's garbage collection must leave it (label `io.cri-containerd.pinned=pinned`).
    pub pinned: bool,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    /// An OCI image layout on the host.
    Layout(PathBuf),
    /// The registry that containerd is configured for.
    Registry,
}

/// A pod that the kubelet runs from a file.
///
/// The manifest gets the annotation `metalk8s.scality.com/config-digest`, the digest of itself and of
/// `files`, so that a change in one of them restarts the pod, and what runs can be told from what shall run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StaticPod {
    /// The manifest's path, below /etc/kubernetes/manifests.
    pub path: PathBuf,
    /// The pod (`v1`, `Pod`).
    pub manifest: serde_json::Value,
    /// Files of the host that the pod reads and whose change must restart it.
    pub files: Vec<PathBuf>,
}
