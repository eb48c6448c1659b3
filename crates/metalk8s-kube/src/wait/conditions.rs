//! Whether an object has reached what is waited for, and what it says if not.

use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment, StatefulSet},
        core::v1::{Node, Pod},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};

use super::Seen;

pub(super) fn node(node: &Node) -> Seen {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    match conditions.iter().find(|condition| condition.type_ == "Ready") {
        Some(ready) if ready.status == "True" => Seen::Holds,
        Some(ready) => not_yet("not Ready", ready.reason.as_deref(), ready.message.as_deref()),
        None => not_yet("its kubelet has not reported yet", None, None),
    }
}

pub(super) fn pod(pod: &Pod) -> Seen {
    if pod.metadata.deletion_timestamp.is_some() {
        return not_yet("it is being deleted", None, None);
    }
    let Some(status) = &pod.status else { return not_yet("it has no status yet", None, None) };
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
    if ready.is_some_and(|ready| ready.status == "True") {
        return Seen::Holds;
    }
    // What a container waits for says more than the condition, which only counts containers.
    let waiting = status
        .init_container_statuses
        .iter()
        .flatten()
        .chain(status.container_statuses.iter().flatten())
        .find_map(|container| Some((&container.name, container.state.as_ref()?.waiting.as_ref()?)));
    if let Some((name, waiting)) = waiting {
        let what = format!("container `{name}` is waiting");
        return not_yet(&what, waiting.reason.as_deref(), waiting.message.as_deref());
    }
    let phase = status.phase.as_deref().unwrap_or("Unknown");
    let reason = ready.and_then(|ready| ready.reason.as_deref());
    not_yet(phase, reason, ready.and_then(|ready| ready.message.as_deref()))
}

pub(super) fn crd(crd: &CustomResourceDefinition) -> Seen {
    let conditions = crd.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let is_true = |wanted: &str| {
        conditions.iter().any(|condition| condition.type_ == wanted && condition.status == "True")
    };
    if is_true("Established") && is_true("NamesAccepted") {
        return Seen::Holds;
    }
    let refused = conditions.iter().find(|condition| condition.status == "False");
    let reason = refused.and_then(|condition| condition.reason.as_deref());
    not_yet("not established", reason, refused.and_then(|condition| condition.message.as_deref()))
}

pub(super) fn deployment(deployment: &Deployment) -> Seen {
    let (spec, Some(status)) = (&deployment.spec, &deployment.status) else { return unobserved() };
    if is_stale(deployment.metadata.generation, status.observed_generation) {
        return unobserved();
    }
    let wanted = spec.replicas.unwrap_or(1);
    let updated = status.updated_replicas.unwrap_or(0);
    let available = status.available_replicas.unwrap_or(0);
    let total = status.replicas.unwrap_or(0);
    if updated >= wanted && total <= updated && available >= updated {
        return Seen::Holds;
    }
    let stuck = status.conditions.iter().flatten().find(|condition| {
        let is_true = condition.status.as_deref() == Some("True");
        match condition.type_.as_deref() {
            Some("Progressing") => !is_true,
            Some("ReplicaFailure") => is_true,
            _ => false,
        }
    });
    let reason = stuck.and_then(|condition| condition.reason.as_deref());
    let message = stuck.and_then(|condition| condition.message.as_deref());
    let old = total.saturating_sub(updated);
    not_yet(&progress(wanted, updated, available, old), reason, message)
}

pub(super) fn daemon_set(daemon_set: &DaemonSet) -> Seen {
    let Some(status) = &daemon_set.status else { return unobserved() };
    if is_stale(daemon_set.metadata.generation, status.observed_generation) {
        return unobserved();
    }
    let wanted = status.desired_number_scheduled;
    let updated = status.updated_number_scheduled.unwrap_or(0);
    let available = status.number_available.unwrap_or(0);
    if updated >= wanted && available >= wanted {
        return Seen::Holds;
    }
    not_yet(&progress(wanted, updated, available, 0), None, None)
}

pub(super) fn stateful_set(stateful_set: &StatefulSet) -> Seen {
    let (spec, Some(status)) = (&stateful_set.spec, &stateful_set.status) else { return unobserved() };
    if is_stale(stateful_set.metadata.generation, status.observed_generation) {
        return unobserved();
    }
    let wanted = spec.replicas.unwrap_or(1);
    let updated = status.updated_replicas.unwrap_or(0);
    let available = status.available_replicas.unwrap_or(0);
    let ready = status.ready_replicas.unwrap_or(0);
    if updated >= wanted && available >= wanted && ready >= wanted && status.replicas <= wanted {
        return Seen::Holds;
    }
    not_yet(&progress(wanted, updated, available, status.replicas.saturating_sub(updated)), None, None)
}

/// Whether the status was written before the controller saw the newest generation.
fn is_stale(generation: Option<i64>, observed: Option<i64>) -> bool {
    observed.unwrap_or(0) < generation.unwrap_or(0)
}

fn unobserved() -> Seen {
    not_yet("its controller has not seen it yet", None, None)
}

fn progress(wanted: i32, updated: i32, available: i32, old: i32) -> String {
    let mut words = format!("of {wanted} replicas {updated} are updated and {available} available");
    if old > 0 {
        words.push_str(&format!(", {old} old ones remain"));
    }
    words
}

fn not_yet(what: &str, reason: Option<&str>, message: Option<&str>) -> Seen {
    let mut words = what.to_owned();
    if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
        words.push_str(&format!(" ({reason})"));
    }
    if let Some(message) = message.filter(|message| !message.is_empty()) {
        words.push_str(&format!(": {message}"));
    }
    Seen::NotYet(words)
}

#[cfg(test)]
mod tests;
