//! Nodes as their objects describe them.

use std::{collections::BTreeSet, net::IpAddr};

use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use metalk8s_types::{Role, labels};
use serde_json::json;

use super::{Fleet, FleetError, ask};
use crate::{
    call::{CallError, if_found},
    connection::Connection,
};

/// What a Node object says of its machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// Its roles, by its labels.
    pub roles: BTreeSet<Role>,
    /// The version that it shall have, by its label.
    pub version: Option<String>,
    /// How its machine is reached.
    pub annotations: NodeAnnotations,
    /// Whether it is Ready.
    pub is_ready: bool,
    /// Whether nothing new is scheduled on it.
    pub is_cordoned: bool,
    /// The version of its kubelet; empty where none has registered.
    pub kubelet_version: String,
    /// Where the overlay reaches it: Calico's annotation `projectcalico.org/IPv4Address`.
    pub overlay_address: Option<IpAddr>,
}

/// How the machine of a node is reached (constants.md, section 4). Each is as it was written, or missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeAnnotations {
    /// `metalk8s.scality.com/ssh-host`.
    pub host: Option<String>,
    /// `metalk8s.scality.com/ssh-port`.
    pub port: Option<String>,
    /// `metalk8s.scality.com/ssh-user`.
    pub user: Option<String>,
    /// `metalk8s.scality.com/ssh-key-path`.
    pub key_path: Option<String>,
    /// `metalk8s.scality.com/ssh-sudo`.
    pub sudo: Option<String>,
    /// `metalk8s.scality.com/ssh-host-key`: the fingerprint that the machine showed first.
    pub host_key: Option<String>,
}

impl Fleet {
    /// All nodes, by name.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn nodes(&self) -> Result<Vec<NodeFacts>, FleetError> {
        let doing = || "list the nodes".to_owned();
        self.with(doing, async |connection| {
            let list = ask(connection, nodes(connection).list(&ListParams::default())).await?;
            Ok(list.items.iter().map(facts).collect())
        })
        .await
    }

    /// One node, where there is such a one.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn node(&self, name: &str) -> Result<Option<NodeFacts>, FleetError> {
        let doing = || format!("read the Node `{name}`");
        self.with(doing, async |connection| {
            Ok(if_found(ask(connection, nodes(connection).get(name)).await)?.as_ref().map(facts))
        })
        .await
    }

    /// Keeps new pods from a node, or lets them come again. Returns whether that was a change.
    ///
    /// # Errors
    /// When there is no such node, or the API cannot be asked.
    pub async fn cordon(&self, name: &str, cordoned: bool) -> Result<bool, FleetError> {
        let doing = || format!("{} the Node `{name}`", if cordoned { "cordon" } else { "uncordon" });
        self.with(doing, async |connection| {
            let node = ask(connection, nodes(connection).get(name)).await?;
            if facts(&node).is_cordoned == cordoned {
                return Ok(false);
            }
            patch(connection, name, json!({"spec": {"unschedulable": cordoned}})).await?;
            Ok(true)
        })
        .await
    }

    /// Deletes the object of a node; whether there was one.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn delete_node(&self, name: &str) -> Result<bool, FleetError> {
        let doing = || format!("delete the Node `{name}`");
        self.with(doing, async |connection| {
            let gone = ask(connection, nodes(connection).delete(name, &DeleteParams::default())).await;
            Ok(if_found(gone)?.is_some())
        })
        .await
    }

    /// Writes an annotation of a node.
    ///
    /// # Errors
    /// When there is no such node, or the API cannot be asked.
    pub async fn annotate_node(&self, name: &str, key: &str, value: &str) -> Result<(), FleetError> {
        let doing = || format!("annotate the Node `{name}`");
        self.with(doing, async |connection| {
            patch(connection, name, json!({"metadata": {"annotations": {key: value}}})).await
        })
        .await
    }
}

fn nodes(connection: &Connection) -> Api<Node> {
    Api::all(connection.client.clone())
}

async fn patch(connection: &Connection, name: &str, patch: serde_json::Value) -> Result<(), CallError> {
    let params =
        PatchParams { field_manager: Some("metalk8s-conductor".to_owned()), ..PatchParams::default() };
    ask(connection, nodes(connection).patch(name, &params, &Patch::Merge(&patch))).await.map(drop)
}

fn facts(node: &Node) -> NodeFacts {
    let annotation = |key: &str| node.annotations().get(key).cloned();
    let roles = node.labels().keys().filter_map(|key| key.strip_prefix(labels::ROLE_PREFIX)?.parse().ok());
    let status = node.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    NodeFacts {
        name: node.name_any(),
        roles: roles.collect(),
        version: node.labels().get(labels::VERSION).cloned(),
        annotations: NodeAnnotations {
            host: annotation(labels::SSH_HOST),
            port: annotation(labels::SSH_PORT),
            user: annotation(labels::SSH_USER),
            key_path: annotation(labels::SSH_KEY_PATH),
            sudo: annotation(labels::SSH_SUDO),
            host_key: annotation(labels::SSH_HOST_KEY),
        },
        is_ready: conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"),
        is_cordoned: node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false),
        kubelet_version: status.node_info.map(|info| info.kubelet_version).unwrap_or_default(),
        overlay_address: annotation("projectcalico.org/IPv4Address")
            .and_then(|address| address.split('/').next()?.parse().ok()),
    }
}
