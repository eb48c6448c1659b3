//! Wishes about the Kubernetes API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A Kubernetes object, applied on the server's side (KEP-555) with the field manager of the formula.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// The whole object, with apiVersion, kind and metadata.name.
    pub manifest: serde_json::Value,
    /// The field manager, such as `metalk8s-calico`.
    pub manager: String,
    /// Whether fields owned by others are taken over: only for objects that we own outright.
    pub force: bool,
}

/// Labels, annotations and taints of a Node that already exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeMetadata {
    /// The Node's name.
    pub node: String,
    /// Labels that it has; others are left.
    pub labels: BTreeMap<String, String>,
    /// Annotations that it has; others are left.
    pub annotations: BTreeMap<String, String>,
    /// Taints that it has; others are left.
    pub taints: Vec<Taint>,
}

/// A taint of a Node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taint {
    /// Such as `node-role.kubernetes.io/infra`.
    pub key: String,
    /// Its value, often empty.
    pub value: String,
    /// What it does to pods that do not tolerate it.
    pub effect: TaintEffect,
}

/// What a taint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of Kubernetes")]
pub enum TaintEffect {
    NoSchedule,
    PreferNoSchedule,
    NoExecute,
}
