//! The Node object of a Bootstrap node (BOOT-20, area ROLE).

use std::collections::BTreeMap;

use metalk8s_engine::{
    Graph, State,
    state::{Condition, NodeMetadata, Object, Taint, TaintEffect, Wait},
};
use metalk8s_types::{Grains, Pillar, Role, labels, paths};
use serde_json::json;

use crate::hostname::node_name;

/// Keep applications away from the first node until somebody takes them off (BOOT-23).
pub(crate) fn bootstrap_taints() -> Vec<Taint> {
    [Role::Bootstrap, Role::Infra]
        .map(|role| Taint { key: role.key(), value: String::new(), effect: TaintEffect::NoSchedule })
        .to_vec()
}

/// The Node has its roles, and the API server may speak to the kubelet.
///
/// The taints come with the registration alone: one that somebody took off stays off (BOOT-23).
pub(crate) fn bootstrap(grains: &Grains, pillar: &Pillar) -> Graph {
    let mut graph = Graph::default();
    let node = node_name(grains).to_owned();
    let exists = graph.add(
        "node registered",
        State::Wait(Wait { until: Condition::NodeExists(node.clone()), deadline_seconds: 120 }),
    );
    let mut node_labels: BTreeMap<String, String> =
        pillar.roles.iter().map(|role| (role.key(), String::new())).collect();
    node_labels.insert(labels::VERSION.to_owned(), pillar.archive.version.clone());
    let roles = graph.add(
        "roles of the node",
        State::NodeMetadata(NodeMetadata {
            node,
            labels: node_labels,
            annotations: BTreeMap::from([(
                labels::CRI_SOCKET.to_owned(),
                format!("unix://{}", paths::CONTAINERD_SOCKET),
            )]),
            taints: Vec::new(),
        }),
    );
    graph.require(&roles, &exists);
    let version = graph.add(
        "version of the cluster",
        State::Object(Object {
            manifest: json!({
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {
                    "name": "kube-system",
                    "annotations": {labels::CLUSTER_VERSION: pillar.archive.version},
                    "labels": {"pod-security.kubernetes.io/enforce": "privileged"},
                },
            }),
            manager: "metalk8s-bootstrap".to_owned(),
            force: true,
        }),
    );
    graph.require(&version, &exists);
    let kubelets = graph.add(
        "API server may use kubelets",
        State::Object(Object {
            manifest: json!({
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {
                    "name": "metalk8s:apiserver-kubelet-client",
                    "labels": {
                        labels::MANAGED_BY: labels::MANAGED_BY_VALUE,
                        labels::PART_OF: labels::PART_OF_VALUE,
                    },
                },
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": "system:kubelet-api-admin",
                },
                "subjects": [{
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "User",
                    "name": "kube-apiserver-kubelet-client",
                }],
            }),
            manager: "metalk8s-bootstrap".to_owned(),
            force: true,
        }),
    );
    graph.require(&kubelets, &exists);
    graph
}

/// The Node is Ready.
pub(crate) fn ready(grains: &Grains) -> Graph {
    let mut graph = Graph::default();
    graph.add(
        "node ready",
        State::Wait(Wait {
            until: Condition::NodeReady(node_name(grains).to_owned()),
            deadline_seconds: 300,
        }),
    );
    graph
}
