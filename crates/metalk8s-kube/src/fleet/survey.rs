//! What the cluster says of its nodes, pods and leases, for whoever looks whether all is well.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{Node, Pod},
};
use kube::{Api, ResourceExt, api::ListParams};

use super::{Fleet, FleetError, ask};
use crate::call::if_found;

/// A node, as its object says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSurvey {
    /// Its name.
    pub name: String,
    /// Its conditions.
    pub conditions: Vec<Condition>,
    /// Its internal addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether a kubelet has ever registered it.
    pub has_kubelet: bool,
}

/// A condition of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Such as `Ready` or `DiskPressure`.
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, for people.
    pub message: String,
}

/// A pod that does not run as it should, or one that does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSurvey {
    /// Its namespace and name, joined by `/`.
    pub name: String,
    /// Why it does not run; `None` where it runs, or ended well.
    pub trouble: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// A lease (coordination.k8s.io/v1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseSurvey {
    /// Who holds it; `None` where nobody does.
    pub holder: Option<String>,
    /// When it was renewed last.
    pub renewed: Timestamp,
    /// How long it is good for after that.
    pub duration: SignedDuration,
}

impl Fleet {
    /// All nodes with their conditions.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn survey_nodes(&self) -> Result<Vec<NodeSurvey>, FleetError> {
        self.with(
            || "list the nodes".to_owned(),
            async |connection| {
                let nodes: Api<Node> = Api::all(connection.client.clone());
                Ok(ask(connection, nodes.list(&ListParams::default()))
                    .await?
                    .items
                    .iter()
                    .map(node)
                    .collect())
            },
        )
        .await
    }

    /// All pods.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn survey_pods(&self) -> Result<Vec<PodSurvey>, FleetError> {
        self.with(
            || "list the pods".to_owned(),
            async |connection| {
                let pods: Api<Pod> = Api::all(connection.client.clone());
                Ok(ask(connection, pods.list(&ListParams::default())).await?.items.iter().map(pod).collect())
            },
        )
        .await
    }

    /// A lease, where there is one of that name.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn survey_lease(&self, namespace: &str, name: &str) -> Result<Option<LeaseSurvey>, FleetError> {
        self.with(
            || format!("read the lease `{name}`"),
            async |connection| {
                let leases: Api<Lease> = Api::namespaced(connection.client.clone(), namespace);
                Ok(if_found(ask(connection, leases.get(name)).await)?.map(lease))
            },
        )
        .await
    }
}

fn node(node: &Node) -> NodeSurvey {
    let status = node.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default().into_iter().map(|condition| Condition {
        kind: condition.type_,
        status: condition.status,
        message: condition.message.unwrap_or_default(),
    });
    let addresses = status.addresses.unwrap_or_default();
    NodeSurvey {
        name: node.name_any(),
        conditions: conditions.collect(),
        addresses: addresses
            .iter()
            .filter(|address| address.type_ == "InternalIP")
            .filter_map(|address| address.address.parse().ok())
            .collect(),
        has_kubelet: status.node_info.is_some_and(|info| !info.kubelet_version.is_empty()),
    }
}

fn pod(pod: &Pod) -> PodSurvey {
    let status = pod.status.clone().unwrap_or_default();
    let phase = status.phase.unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    let is_ready = ready.is_some_and(|condition| condition.status == "True");
    let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let since = ready.and_then(|condition| Some(condition.last_transition_time.as_ref()?.0)).or(created);
    let waiting = status.container_statuses.unwrap_or_default().into_iter().find_map(|container| {
        let waiting = container.state?.waiting?;
        let reason = waiting.reason.unwrap_or_default();
        Some(format!("container {}: {reason} {}", container.name, waiting.message.unwrap_or_default()))
    });
    let trouble = match phase.as_str() {
        "Succeeded" => None,
        "Running" if is_ready => None,
        "Running" => Some(waiting.unwrap_or_else(|| "it is not ready".to_owned())),
        other => Some(waiting.or(status.message).unwrap_or_else(|| format!("its phase is `{other}`"))),
    };
    PodSurvey {
        name: format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any()),
        trouble: trouble.map(|trouble| trouble.trim_end().to_owned()),
        since: since.unwrap_or(Timestamp::UNIX_EPOCH),
    }
}

fn lease(lease: Lease) -> LeaseSurvey {
    let spec = lease.spec.unwrap_or_default();
    LeaseSurvey {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        renewed: spec.renew_time.map_or(Timestamp::UNIX_EPOCH, |time| time.0),
        duration: SignedDuration::from_secs(spec.lease_duration_seconds.unwrap_or(0).into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_that_waits_tells_why_and_one_that_ended_well_is_no_trouble() {
        let of = |status: serde_json::Value| {
            let object = json!({"metadata": {"name": "a", "namespace": "b"}, "status": status});
            pod(&serde_json::from_value(object).unwrap()).trouble
        };
        assert_eq!(of(json!({"phase": "Succeeded"})), None);
        assert_eq!(
            of(json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})),
            None
        );
        let waiting = json!({
            "phase": "Running",
            "containerStatuses": [{
                "name": "dns", "ready": false, "restartCount": 3, "image": "", "imageID": "",
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            }],
        });
        assert_eq!(of(waiting).as_deref(), Some("container dns: CrashLoopBackOff"));
        assert_eq!(of(json!({"phase": "Pending"})).as_deref(), Some("its phase is `Pending`"));
    }
}
