use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

fn read<T: DeserializeOwned>(object: Value) -> T {
    serde_json::from_value(object).unwrap()
}

#[track_caller]
fn expect_not_yet(seen: Seen, words: &str) {
    assert_eq!(seen, Seen::NotYet(words.to_owned()));
}

#[test]
fn a_node_is_ready_when_its_kubelet_says_so() {
    let with = |conditions: Value| node(&read(json!({"metadata": {}, "status": {"conditions": conditions}})));
    assert_eq!(with(json!([{"type": "Ready", "status": "True"}])), Seen::Holds);
    expect_not_yet(
        with(json!([
            {"type": "MemoryPressure", "status": "True"},
            {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "no network plugin"},
        ])),
        "not Ready (KubeletNotReady): no network plugin",
    );
    expect_not_yet(with(json!([])), "its kubelet has not reported yet");
}

#[test]
fn a_pod_that_is_being_deleted_is_not_ready_whatever_it_says() {
    let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    assert_eq!(pod(&read(json!({"metadata": {}, "status": ready.clone()}))), Seen::Holds);
    let deleted = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": ready});
    expect_not_yet(pod(&read(deleted)), "it is being deleted");
}

#[test]
fn a_waiting_container_tells_why() {
    let waiting = json!({"metadata": {}, "status": {
        "phase": "Pending",
        "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}],
        "containerStatuses": [{
            "name": "etcd", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}},
        }],
    }});
    expect_not_yet(pod(&read(waiting)), "container `etcd` is waiting (ImagePullBackOff): no such image");
}

#[test]
fn a_definition_is_established_when_its_names_are_accepted_too() {
    let with = |conditions: Value| {
        crd(&read(json!({
            "metadata": {},
            "spec": {"group": "", "names": {"kind": "", "plural": ""}, "scope": "", "versions": []},
            "status": {"conditions": conditions},
        })))
    };
    let condition = |name: &str, status: &str| json!({"type": name, "status": status, "lastTransitionTime": null, "reason": "R", "message": "m"});
    assert_eq!(
        with(json!([condition("Established", "True"), condition("NamesAccepted", "True")])),
        Seen::Holds
    );
    expect_not_yet(
        with(json!([condition("Established", "True"), condition("NamesAccepted", "False")])),
        "not established (R): m",
    );
    expect_not_yet(with(json!([])), "not established");
}

fn deployment_with(status: Value) -> Seen {
    let spec = json!({"replicas": 2, "selector": {}, "template": {}});
    deployment(&read(json!({"metadata": {"generation": 3}, "spec": spec, "status": status})))
}

#[test]
fn a_deployment_is_rolled_out_when_all_replicas_are_new_and_available() {
    let done = json!({"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
    assert_eq!(deployment_with(done), Seen::Holds);
    expect_not_yet(
        deployment_with(
            json!({"observedGeneration": 3, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 3}),
        ),
        "of 2 replicas 2 are updated and 3 available, 1 old ones remain",
    );
    expect_not_yet(
        deployment_with(
            json!({"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}),
        ),
        "of 2 replicas 2 are updated and 1 available",
    );
}

#[test]
fn a_status_of_an_older_generation_says_nothing() {
    let old = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
    expect_not_yet(deployment_with(old), "its controller has not seen it yet");
    expect_not_yet(deployment_with(json!({})), "its controller has not seen it yet");
}

#[test]
fn a_deployment_that_is_stuck_tells_why() {
    let stuck = json!({
        "observedGeneration": 3,
        "conditions": [
            {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"},
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"},
        ],
    });
    expect_not_yet(
        deployment_with(stuck),
        "of 2 replicas 0 are updated and 0 available (FailedCreate): quota",
    );
}

#[test]
fn a_daemon_set_is_rolled_out_on_the_nodes_it_wants_even_if_there_are_none() {
    let with = |wanted: i32, updated: i32, available: i32| {
        daemon_set(&read(json!({
            "metadata": {"generation": 1},
            "status": {
                "observedGeneration": 1, "currentNumberScheduled": wanted, "numberMisscheduled": 0,
                "numberReady": available, "desiredNumberScheduled": wanted,
                "updatedNumberScheduled": updated, "numberAvailable": available,
            },
        })))
    };
    assert_eq!(with(3, 3, 3), Seen::Holds);
    assert_eq!(with(0, 0, 0), Seen::Holds);
    expect_not_yet(with(3, 2, 3), "of 3 replicas 2 are updated and 3 available");
    expect_not_yet(with(3, 3, 2), "of 3 replicas 3 are updated and 2 available");
}

#[test]
fn a_stateful_set_is_rolled_out_when_all_replicas_are_new_and_available() {
    let with = |updated: i32, available: i32| {
        stateful_set(&read(json!({
            "metadata": {"generation": 1},
            "spec": {"replicas": 3, "selector": {}, "template": {}, "serviceName": "s"},
            "status": {
                "observedGeneration": 1, "replicas": 3, "updatedReplicas": updated,
                "availableReplicas": available, "readyReplicas": available,
            },
        })))
    };
    assert_eq!(with(3, 3), Seen::Holds);
    expect_not_yet(with(1, 3), "of 3 replicas 1 are updated and 3 available, 2 old ones remain");
    expect_not_yet(with(3, 2), "of 3 replicas 3 are updated and 2 available");
}
