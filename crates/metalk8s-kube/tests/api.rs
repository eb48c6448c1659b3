//! The hands against a real kube-apiserver and etcd, started here with certificates of metalk8s-pki.
//!
//! Run by `cargo test --workspace --features metalk8s-kube/real-api --test api`, after the build chain has built both programs.

#![expect(clippy::unwrap_used, reason = "a test may fail so")]

#[path = "api/server.rs"]
mod server;

use std::collections::BTreeMap;

use metalk8s_engine::{
    Change, ChangeKind, Hands, State, StateError,
    state::{Condition, NodeMetadata, Object, Taint, TaintEffect, Wait},
};
use metalk8s_kube::{
    Cluster,
    fleet::{Follow, Seen},
};
use metalk8s_types::fleet::{Agent, NAMESPACE, definitions};
use serde_json::{Value, json};
use server::Server;

fn object(manifest: Value) -> State {
    State::Object(Object { manifest, manager: "metalk8s-test".into(), force: false })
}

fn namespace(name: &str) -> State {
    object(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
}

fn config_map(namespace: &str, name: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": {"key": value},
    })
}

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "volumes.storage.example.org"},
        "spec": {
            "group": "storage.example.org", "scope": "Cluster",
            "names": {"kind": "Volume", "plural": "volumes", "singular": "volume", "listKind": "VolumeList"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {"spec": {"type": "object", "properties": {
                        "size": {"type": "string"},
                        "mode": {"type": "string", "default": "block"},
                    }}},
                }},
            }],
        },
    })
}

fn volume() -> State {
    object(json!({
        "apiVersion": "storage.example.org/v1", "kind": "Volume",
        "metadata": {"name": "data"}, "spec": {"size": "1Gi"},
    }))
}

fn wait(until: Condition) -> State {
    State::Wait(Wait { until, deadline_seconds: 1 })
}

/// Makes the state true; what may pass is tried again.
async fn make_true(cluster: &Cluster, state: &State) -> Option<Change> {
    server::eventually("the state to be applied", async || {
        let attempt = async {
            let Some(change) = cluster.check(state).await? else { return Ok(None) };
            cluster.apply(state, &change).await.map(Some)
        };
        match attempt.await {
            Ok(change) => Some(change),
            Err(StateError { retryable: true, .. }) => None,
            Err(error) => panic!("{error}: {:?}", error.source),
        }
    })
    .await
}

fn cause(error: &StateError) -> String {
    error.source.as_ref().map(ToString::to_string).unwrap_or_default()
}

#[tokio::test]
async fn after_every_kind_of_object_was_applied_checking_it_finds_nothing() {
    let server = Server::shared().await;
    let cluster = server.cluster();
    make_true(&cluster, &namespace("kinds")).await;
    let labels = json!({"app": "a"});
    let kinds = [
        config_map("kinds", "settings", "1"),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "kinds"},
               "stringData": {"password": "geheim"}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "kinds"},
               "spec": {"selector": labels, "ports": [{"name": "http", "port": 80}]}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "namespace": "kinds"}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "kinds"},
               "spec": {"selector": {"matchLabels": labels}, "template": {
                   "metadata": {"labels": labels},
                   "spec": {"containers": [{"name": "c", "image": "registry.invalid/c:1",
                                            "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}},
                                            "ports": [{"containerPort": 53, "protocol": "UDP"},
                                                      {"containerPort": 53, "protocol": "TCP"}]}]}}}}),
        json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "d", "namespace": "kinds"},
               "spec": {"selector": {"matchLabels": labels}, "template": {
                   "metadata": {"labels": labels},
                   "spec": {"hostNetwork": true, "tolerations": [{"operator": "Exists"}],
                            "volumes": [{"name": "lib", "hostPath": {"path": "/lib/modules"}}],
                            "containers": [{"name": "c", "image": "registry.invalid/c:1",
                                            "securityContext": {"privileged": true},
                                            "env": [{"name": "NODE", "valueFrom": {"fieldRef":
                                                {"fieldPath": "spec.nodeName"}}}],
                                            "volumeMounts": [{"name": "lib", "mountPath": "/lib/modules",
                                                              "readOnly": true}],
                                            "livenessProbe": {"httpGet": {"path": "/", "port": 9099}}}]}}}}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
               "metadata": {"name": "kinds"},
               "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}),
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
               "metadata": {"name": "p", "namespace": "kinds"},
               "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}}}),
    ];
    for manifest in kinds {
        let what = format!("{} {}", manifest["kind"], manifest["metadata"]["name"]);
        let state = object(manifest);
        let change = make_true(&cluster, &state).await.unwrap_or_else(|| panic!("{what} was there before"));
        assert_eq!(change.kind, ChangeKind::Create, "{what}");
        assert!(!format!("{change:?}").contains("geheim"), "{what}");
        assert_eq!(cluster.check(&state).await.unwrap(), None, "{what}");
        assert_eq!(cluster.react(&state).await.unwrap(), None, "{what}");
    }
}

#[tokio::test]
async fn a_changed_object_shows_its_difference_and_only_checking_changes_nothing() {
    let server = Server::shared().await;
    let cluster = server.cluster();
    make_true(&cluster, &namespace("differences")).await;
    make_true(&cluster, &object(config_map("differences", "a", "old"))).await;
    let wish = object(config_map("differences", "a", "new"));
    for _ in 0..2 {
        let change = cluster.check(&wish).await.unwrap().unwrap();
        assert_eq!(change.summary, "update ConfigMap `differences/a`");
        assert!(change.before.unwrap().contains("key: old"));
        assert!(change.after.unwrap().contains("key: new"));
    }
    make_true(&cluster, &wish).await;
    assert_eq!(cluster.check(&wish).await.unwrap(), None);
}

#[tokio::test]
async fn a_field_of_another_manager_is_a_conflict_unless_it_is_taken_over() {
    let server = Server::shared().await;
    let cluster = server.cluster();
    make_true(&cluster, &namespace("conflicts")).await;
    make_true(&cluster, &object(config_map("conflicts", "a", "theirs"))).await;
    let ours = |force| {
        let manifest = config_map("conflicts", "a", "ours");
        State::Object(Object { manifest, manager: "metalk8s-other".into(), force })
    };
    let error = cluster.check(&ours(false)).await.unwrap_err();
    assert_eq!(error.to_string(), "could not check ConfigMap `conflicts/a`");
    assert!(!error.retryable);
    let cause = cause(&error);
    assert!(cause.contains("metalk8s-test") && cause.contains(".data.key"), "{cause}");
    make_true(&cluster, &ours(true)).await;
    assert_eq!(cluster.check(&ours(false)).await.unwrap(), None);
}

#[tokio::test]
async fn a_field_that_the_server_does_not_know_is_refused_in_its_words() {
    let server = Server::shared().await;
    let cluster = server.cluster();
    make_true(&cluster, &namespace("mistakes")).await;
    let mut manifest = config_map("mistakes", "a", "1");
    manifest["dta"] = json!({});
    let error = cluster.check(&object(manifest)).await.unwrap_err();
    assert!(cause(&error).contains("dta"), "{}", cause(&error));
    assert!(!error.retryable, "{}", cause(&error));
}

#[tokio::test]
async fn a_plan_can_name_objects_whose_namespace_or_kind_comes_with_the_same_plan() {
    let server = Server::shared().await;
    let cluster = server.cluster();
    let state = object(config_map("not-yet-there", "a", "1"));
    let change = cluster.check(&state).await.unwrap().unwrap();
    assert_eq!(change.kind, ChangeKind::Create);
    assert!(!cluster.apply(&state, &change).await.unwrap_err().retryable);

    let state = object(json!({"apiVersion": "nobody.example.org/v1", "kind": "Nothing",
                              "metadata": {"name": "a"}}));
    let change = cluster.check(&state).await.unwrap().unwrap();
    let error = cluster.apply(&state, &change).await.unwrap_err();
    assert!(error.retryable);
    assert_eq!(cause(&error), "the cluster knows no kind `Nothing` in `nobody.example.org/v1`");
}

#[tokio::test]
async fn a_new_kind_is_found_without_a_new_connection() {
    let server = Server::shared().await;
    let cluster = server.cluster();
    // The cluster learns first that the kind does not exist.
    assert!(cluster.check(&volume()).await.is_ok());
    make_true(&cluster, &object(definition())).await;
    assert_eq!(cluster.check(&object(definition())).await.unwrap(), None);
    let established = wait(Condition::CrdEstablished("volumes.storage.example.org".into()));
    server::eventually("the definition", async || {
        cluster.check(&established).await.unwrap().is_none().then_some(())
    })
    .await;
    make_true(&cluster, &volume()).await;
    assert_eq!(cluster.check(&volume()).await.unwrap(), None, "a defaulted field is no change");
}

#[tokio::test]
async fn a_secret_is_waited_for() {
    let server = Server::shared().await;
    let cluster = server.cluster();
    let exists = wait(Condition::SecretExists { namespace: "default".into(), name: "late".into() });
    let change = cluster.check(&exists).await.unwrap().unwrap();
    assert_eq!(change.summary, "wait until Secret default/late exists; now: it does not exist");
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late", "namespace": "default"}});
    make_true(&cluster, &object(secret)).await;
    assert_eq!(cluster.check(&exists).await.unwrap(), None);
}

#[tokio::test]
async fn a_namespace_is_demanded_where_it_belongs_and_only_there() {
    let server = Server::shared().await;
    let cluster = server.cluster();
    let mut manifest = config_map("x", "a", "1");
    manifest["metadata"].as_object_mut().unwrap().remove("namespace");
    let error = cluster.check(&object(manifest)).await.unwrap_err();
    assert_eq!(cause(&error), "a ConfigMap needs a namespace");
    let manifest =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "namespace": "b"}});
    let error = cluster.check(&object(manifest)).await.unwrap_err();
    assert_eq!(cause(&error), "a Namespace has no namespace");
}

fn node_metadata(node: &str, key: &str) -> State {
    State::NodeMetadata(NodeMetadata {
        node: node.into(),
        labels: BTreeMap::from([(key.into(), String::new())]),
        annotations: BTreeMap::from([("example.org/made-by".into(), "test".into())]),
        taints: vec![Taint { key: key.into(), value: String::new(), effect: TaintEffect::NoSchedule }],
    })
}

#[tokio::test]
async fn a_node_is_given_what_it_lacks_once_it_exists() {
    let server = Server::shared().await;
    let cluster = server.cluster();
    let exists = wait(Condition::NodeExists("n1".into()));
    let wish = node_metadata("n1", "node-role.kubernetes.io/infra");
    let change = cluster.check(&wish).await.unwrap().unwrap();
    assert!(cluster.apply(&wish, &change).await.unwrap_err().retryable);
    let change = cluster.check(&exists).await.unwrap().unwrap();
    assert_eq!(change.summary, "wait until Node n1 exists; now: it does not exist");

    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": {"own": "1"}},
                      "spec": {"taints": [{"key": "own", "effect": "NoExecute"}]}});
    make_true(&cluster, &object(node)).await;
    assert_eq!(cluster.check(&exists).await.unwrap(), None);
    make_true(&cluster, &wish).await;
    assert_eq!(cluster.check(&wish).await.unwrap(), None);
    let other = node_metadata("n1", "node-role.kubernetes.io/bootstrap");
    let change = make_true(&cluster, &other).await.unwrap();
    let after = change.after.unwrap();
    assert!(after.contains("taint own=:NoExecute\n"), "{after}");
    assert!(after.contains("taint node-role.kubernetes.io/infra=:NoSchedule\n"), "{after}");
    assert_eq!(cluster.check(&wish).await.unwrap(), None);

    let ready = cluster.check(&wait(Condition::NodeReady("n1".into()))).await.unwrap().unwrap();
    assert!(ready.summary.starts_with("wait until Node n1 is Ready; now: "), "{}", ready.summary);
}

#[tokio::test]
async fn many_writers_of_one_node_lose_no_taint() {
    let server = Server::shared().await;
    let cluster = server.cluster();
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "busy"}});
    make_true(&cluster, &object(node)).await;
    let wishes: Vec<State> = (0..8).map(|n| node_metadata("busy", &format!("example.org/{n}"))).collect();
    let (first, second) = wishes.split_at(4);
    let write = async |wishes: &[State]| {
        for wish in wishes {
            make_true(&cluster, wish).await;
        }
    };
    tokio::join!(write(first), write(second));
    for wish in &wishes {
        assert_eq!(cluster.check(wish).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_workload_that_no_controller_has_seen_is_not_rolled_out() {
    let server = Server::shared().await;
    let cluster = server.cluster();
    make_true(&cluster, &namespace("rollouts")).await;
    let manifest = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "rollouts"},
        "spec": {"selector": {"matchLabels": {"app": "d"}}, "template": {
            "metadata": {"labels": {"app": "d"}},
            "spec": {"containers": [{"name": "c", "image": "registry.invalid/c:1"}]}}},
    });
    make_true(&cluster, &object(manifest)).await;
    let rolled_out = |kind: &str| {
        let (kind, namespace, name) = (kind.to_owned(), "rollouts".to_owned(), "d".to_owned());
        wait(Condition::RolledOut { kind, namespace, name })
    };
    let now = cluster.check(&rolled_out("Deployment")).await.unwrap().unwrap().summary;
    assert!(now.ends_with("now: its controller has not seen it yet"), "{now}");
    let now = cluster.check(&rolled_out("DaemonSet")).await.unwrap().unwrap().summary;
    assert!(now.ends_with("now: it does not exist"), "{now}");
    assert!(!cluster.check(&rolled_out("Job")).await.unwrap_err().retryable);
}

#[tokio::test]
async fn the_cluster_may_come_later_go_away_and_come_back_elsewhere() {
    let mut server = Server::prepare();
    let cluster = server.cluster();
    let state = namespace("later");
    assert!(cluster.check(&state).await.unwrap_err().retryable, "there is no kubeconfig yet");
    server.start().await;
    make_true(&cluster, &state).await;
    assert_eq!(cluster.check(&state).await.unwrap(), None);

    server.stop_api().await;
    let error = cluster.check(&state).await.unwrap_err();
    assert!(error.retryable);
    assert!(cause(&error).contains("cannot be reached"), "{}", cause(&error));
    let seen = cluster.check(&wait(Condition::NodeExists("n".into()))).await.unwrap().unwrap();
    assert!(seen.summary.contains("cannot be reached"), "{}", seen.summary);

    server.start().await;
    assert_eq!(cluster.check(&state).await.unwrap(), None, "etcd has kept it");
}

#[tokio::test]
async fn a_client_of_another_authority_is_told_so_at_once() {
    let server = Server::shared().await;
    let error = server.stranger().check(&namespace("never")).await.unwrap_err();
    assert!(cause(&error).contains("do not trust each other"), "{}: {:?}", cause(&error), error.source);
    assert!(!error.retryable);
}

/// What is told next of an agent: its name, and the version of its program. `None` at the end of what was there.
async fn next(follow: &mut Follow<Agent>) -> Option<(String, String)> {
    loop {
        let seen = tokio::time::timeout(std::time::Duration::from_secs(30), follow.recv()).await;
        match seen.unwrap().unwrap() {
            Seen::There(agent) => {
                let version = agent.status.map(|status| status.version).unwrap_or_default();
                return Some((agent.metadata.name.unwrap(), version));
            }
            Seen::Complete => return None,
            Seen::Gone(_) | Seen::Blind(_) => {}
        }
    }
}

#[tokio::test]
async fn agents_are_followed_from_a_version_on() {
    let server = Server::shared().await;
    let (cluster, fleet) = (server.cluster(), server.fleet());
    for definition in definitions() {
        make_true(&cluster, &object(definition)).await;
    }
    make_true(&cluster, &namespace(NAMESPACE)).await;
    for name in ["one", "two"] {
        let agent = json!({
            "apiVersion": "fleet.metalk8s.scality.com/v1alpha1", "kind": "Agent",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"version": "1", "addresses": {"controlPlane": "10.0.0.1", "workloadPlane": "10.0.0.1"}},
        });
        make_true(&cluster, &object(agent)).await;
    }
    let tell = async |name: &str, version: &str| {
        fleet
            .tell_status(name, &json!({"version": version}))
            .await
            .unwrap()
            .metadata
            .resource_version
            .unwrap()
    };
    tell("one", "before").await;
    let version = tell("two", "before").await;
    let mut all = fleet.follow_agents_after(None, version.clone());
    let mut one = fleet.follow_agents_after(Some("one"), version);
    tell("two", "after").await;
    tell("one", "after").await;
    let told = |name: &str| Some((name.to_owned(), "after".to_owned()));
    assert_eq!((next(&mut all).await, next(&mut all).await), (told("two"), told("one")));
    assert_eq!(next(&mut one).await, told("one"));

    // Nobody knows any more what happened since then: all is told anew.
    let mut anew = fleet.follow_agents_after(None, "1".to_owned());
    let mut names = Vec::new();
    while let Some((name, _)) = next(&mut anew).await {
        names.push(name);
    }
    names.sort();
    names.dedup();
    assert_eq!(names, ["one", "two"]);
}
