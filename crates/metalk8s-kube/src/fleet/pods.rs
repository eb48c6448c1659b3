//! Pods of a node, and how they leave it: through the Eviction API (Kubernetes, "API-initiated Eviction").

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, EvictParams, ListParams, Preconditions},
    core::Status,
};

use super::{Fleet, FleetError, ask};
use crate::{
    call::{CallError, Refusal, if_found},
    connection::Connection,
};

/// A mirror of a static pod, which only the kubelet's own file moves (kubelet, `kubetypes.ConfigMirrorAnnotationKey`).
const MIRROR: &str = "kubernetes.io/config.mirror";
/// The cause by which the API server says that a budget stands against an eviction (policy/v1).
const BUDGET: &str = "DisruptionBudget";

/// A pod, as whoever empties a node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Tells it from a later one of the same name.
    pub uid: String,
    /// The kind of whatever made it, such as `ReplicaSet`; `None` where a person did.
    pub controller: Option<String>,
    /// Whether it is the mirror of a static pod.
    pub is_mirror: bool,
    /// Whether it has run to its end.
    pub is_over: bool,
    /// Whether it was told to end.
    pub is_ending: bool,
}

/// What became of an eviction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evicted {
    /// The pod was told to end.
    Accepted,
    /// It was gone already.
    Gone,
    /// A budget stands against it now; the API server's sentence names the budget.
    Blocked(String),
}

impl Fleet {
    /// All pods that a node has.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn pods_on(&self, node: &str) -> Result<Vec<PodFacts>, FleetError> {
        let doing = || format!("list the pods of `{node}`");
        self.with(doing, async |connection| {
            let params = ListParams::default().fields(&format!("spec.nodeName={node}"));
            let pods: Api<Pod> = Api::all(connection.client.clone());
            Ok(ask(connection, pods.list(&params)).await?.items.iter().map(facts).collect())
        })
        .await
    }

    /// Asks a pod to leave, unless a budget stands against it.
    ///
    /// # Errors
    /// When the API refuses for another reason, or cannot be asked.
    pub async fn evict(&self, pod: &PodFacts) -> Result<Evicted, FleetError> {
        let doing = || format!("evict the pod `{}/{}`", pod.namespace, pod.name);
        self.with(doing, async |connection| {
            let params = EvictParams { delete_options: Some(this_one(pod)), ..EvictParams::default() };
            let pods = of_namespace(connection, pod);
            let evicted = ask(connection, async {
                match pods.evict(&pod.name, &params).await {
                    Ok(_) => Ok(Evicted::Accepted),
                    Err(kube::Error::Api(status)) => match blocked(&status) {
                        Some(why) => Ok(Evicted::Blocked(why)),
                        None => Err(kube::Error::Api(status)),
                    },
                    Err(error) => Err(error),
                }
            });
            Ok(if_still_there(evicted.await)?.unwrap_or(Evicted::Gone))
        })
        .await
    }

    /// Deletes a pod of a machine that is gone, and waits for no word of its kubelet. Returns whether it was there.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn delete_pod_of_lost_machine(&self, pod: &PodFacts) -> Result<bool, FleetError> {
        let doing = || format!("delete the pod `{}/{}`", pod.namespace, pod.name);
        self.with(doing, async |connection| {
            let params = DeleteParams { grace_period_seconds: Some(0), ..this_one(pod) };
            let deleted = ask(connection, of_namespace(connection, pod).delete(&pod.name, &params)).await;
            Ok(if_still_there(deleted)?.is_some())
        })
        .await
    }
}

/// No other one that has taken its name meanwhile.
fn this_one(pod: &PodFacts) -> DeleteParams {
    let only = Preconditions { uid: Some(pod.uid.clone()), resource_version: None };
    DeleteParams { preconditions: Some(only), ..DeleteParams::default() }
}

/// `None` where the pod is gone, or another one has its name.
fn if_still_there<T>(answer: Result<T, CallError>) -> Result<Option<T>, CallError> {
    match if_found(answer) {
        Err(error) if error.is(Refusal::Conflict) => Ok(None),
        answer => answer,
    }
}

fn of_namespace(connection: &Connection, pod: &PodFacts) -> Api<Pod> {
    Api::namespaced(connection.client.clone(), &pod.namespace)
}

/// Why a budget does not allow an eviction; `None` where the answer is about something else.
fn blocked(status: &Status) -> Option<String> {
    let causes = status.details.as_ref().map(|details| &details.causes[..]).unwrap_or_default();
    let of_budget = causes.iter().find(|cause| cause.reason == BUDGET).map(|cause| cause.message.clone());
    // Of two budgets for one pod the API server can serve none, and says so as an internal error.
    let of_several =
        || status.message.contains("more than one PodDisruptionBudget").then(|| status.message.clone());
    of_budget.or_else(of_several)
}

fn facts(pod: &Pod) -> PodFacts {
    let controller = pod.owner_references().iter().find(|owner| owner.controller == Some(true));
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    PodFacts {
        namespace: pod.namespace().unwrap_or_default(),
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        controller: controller.map(|owner| owner.kind.clone()),
        is_mirror: pod.annotations().contains_key(MIRROR),
        is_over: matches!(phase, Some("Succeeded" | "Failed")),
        is_ending: pod.metadata.deletion_timestamp.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::response::{StatusCause, StatusDetails};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_budget_that_stands_against_an_eviction_is_named_and_a_busy_server_is_none() {
        let cause = |reason: &str, message: &str| StatusCause {
            reason: reason.into(),
            message: message.into(),
            field: String::new(),
        };
        let refused = |causes| {
            let empty = String::new;
            let details = StatusDetails {
                causes,
                name: empty(),
                group: empty(),
                kind: empty(),
                uid: empty(),
                retry_after_seconds: 0,
            };
            Status { details: Some(details), ..Status::failure("Too many requests", "TooManyRequests") }
        };
        let told = "The disruption budget web needs 2 healthy pods and has 2 currently";
        assert_eq!(blocked(&refused(vec![cause(BUDGET, told)])).as_deref(), Some(told));
        assert_eq!(blocked(&refused(vec![cause("RetryAfter", "later")])), None);
        let two = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        assert_eq!(blocked(&Status::failure(two, "InternalError")).as_deref(), Some(two));
    }

    #[test]
    fn a_pod_is_known_by_what_made_it_and_how_far_it_is() {
        let pod = json!({
            "metadata": {
                "name": "web-0", "namespace": "shop", "uid": "1", "deletionTimestamp": "2026-01-01T00:00:00Z",
                "annotations": {MIRROR: "x"},
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "2"},
                    {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "y", "uid": "3", "controller": true},
                ],
            },
            "status": {"phase": "Failed"},
        });
        let facts = facts(&serde_json::from_value(pod).unwrap());
        let expected = PodFacts {
            namespace: "shop".into(),
            name: "web-0".into(),
            uid: "1".into(),
            controller: Some("DaemonSet".into()),
            is_mirror: true,
            is_over: true,
            is_ending: true,
        };
        assert_eq!(facts, expected);
    }
}
