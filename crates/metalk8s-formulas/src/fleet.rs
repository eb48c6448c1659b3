//! What the bus is made of in the API: its kinds, and who may do what with them.

use metalk8s_engine::{
    Graph, State,
    state::{Condition, Wait},
};
use metalk8s_types::{
    Pillar,
    fleet::{AGENTS, CONDUCTOR, GROUP, NAMESPACE, SALT_API, SETTINGS, agent_user, definitions},
    labels,
    pillar::NodeWish,
};
use serde_json::{Value, json};

use crate::addons::{object_state, title};

const MANAGER: &str = "metalk8s-fleet";
const RBAC: &str = "rbac.authorization.k8s.io";

/// The conductor does its work: plans and highstates of nodes need the settings that it writes.
pub(crate) fn conducted() -> State {
    State::Wait(Wait {
        until: Condition::SecretExists { namespace: NAMESPACE.to_owned(), name: SETTINGS.to_owned() },
        deadline_seconds: 120,
    })
}

/// The kinds, the namespace, and what agents and conductor may do; and the agent of this node.
pub(crate) fn bus(node: &str, pillar: &Pillar) -> Graph {
    let mut graph = Graph::default();
    let mut definitions_served = Vec::new();
    for definition in definitions() {
        let name = definition["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let applied = add(&mut graph, definition);
        let served = graph.add(
            format!("{name} is served"),
            State::Wait(Wait { until: Condition::CrdEstablished(name), deadline_seconds: 60 }),
        );
        graph.require(&served, &applied);
        definitions_served.push(served);
    }
    let namespace = add(
        &mut graph,
        json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": NAMESPACE,
                // No pod is ever in it.
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        }),
    );
    for object in rights() {
        let id = add(&mut graph, object);
        graph.require(&id, &namespace);
    }
    for object in agent_objects(node, &wish(pillar)) {
        let id = add(&mut graph, object);
        graph.require(&id, &namespace);
        graph.require_all(&id, &definitions_served);
    }
    graph
}

/// Where the Bootstrap node is now, told before its member of etcd and its API server need the others: they have to
/// let it in (NET-19, NET-20).
pub(crate) fn announced(node: &str, pillar: &Pillar) -> Graph {
    let mut graph = Graph::default();
    let [agent, ..] = agent(node, &wish(pillar));
    graph.add("addresses of this node are known", agent);
    graph
}

fn wish(pillar: &Pillar) -> NodeWish {
    NodeWish {
        version: pillar.archive.version.clone(),
        roles: pillar.roles.clone(),
        addresses: pillar.node,
        initial_cluster: pillar.initial_cluster.clone(),
    }
}

/// The states by which a node belongs to the fleet: its agent, and the agent's rights on it.
pub fn agent(node: &str, wish: &NodeWish) -> [State; 3] {
    agent_objects(node, wish).map(|object| state(labelled(object)))
}

fn agent_objects(node: &str, wish: &NodeWish) -> [Value; 3] {
    let role = format!("agent-{node}");
    let NodeWish { version, roles, addresses, initial_cluster } = wish;
    let mut spec = json!({"version": version, "roles": roles, "addresses": addresses});
    if let Some(members) = initial_cluster {
        spec["initialCluster"] = members.as_str().into();
    }
    [
        json!({
            "apiVersion": format!("{GROUP}/v1alpha1"),
            "kind": "Agent",
            "metadata": {"name": node, "namespace": NAMESPACE},
            "spec": spec,
        }),
        // Reading a list is allowed where it is asked for this one name (KEP-4601 is about more than names).
        json!({
            "apiVersion": format!("{RBAC}/v1"),
            "kind": "Role",
            "metadata": {"name": role, "namespace": NAMESPACE},
            "rules": [
                rule(&[GROUP], &["agents"], &["get", "list", "watch"], &[node]),
                rule(&[GROUP], &["agents/status"], &["get", "patch"], &[node]),
                // Not of all agents: who has left the fleet does not learn what becomes of it.
                rule(&[""], &["secrets"], &["get"], &[SETTINGS]),
            ],
        }),
        json!({
            "apiVersion": format!("{RBAC}/v1"),
            "kind": "RoleBinding",
            "metadata": {"name": role, "namespace": NAMESPACE},
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": role},
            "subjects": [{"apiGroup": RBAC, "kind": "User", "name": agent_user(node)}],
        }),
    ]
}

/// Rights of all agents together, of the conductor, and of the HTTP API.
fn rights() -> Vec<Value> {
    let cluster_role = |name: &str, rules: Value| json!({"apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules});
    let subject = |kind: &str, name: &str| json!([{"apiGroup": RBAC, "kind": kind, "name": name}]);
    let cluster_binding = |role: &str, subjects: Value| {
        json!({
            "apiVersion": format!("{RBAC}/v1"),
            "kind": "ClusterRoleBinding",
            "metadata": {"name": role},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
            "subjects": subjects,
        })
    };
    let certificates = "certificates.k8s.io";
    vec![
        // What is asked for is in the request, and whoever asked is written into it by the API server.
        cluster_role(
            AGENTS,
            json!([rule(&[certificates], &["certificatesigningrequests"], &["create"], &[])]),
        ),
        cluster_binding(AGENTS, subject("Group", AGENTS)),
        cluster_role(CONDUCTOR, conductor_rules()),
        cluster_binding(CONDUCTOR, subject("User", CONDUCTOR)),
        json!({
            "apiVersion": format!("{RBAC}/v1"),
            "kind": "Role",
            "metadata": {"name": "conductor", "namespace": NAMESPACE},
            "rules": [
                rule(&["coordination.k8s.io"], &["leases"], &["get", "list", "watch", "create", "update", "patch"], &[]),
                rule(&[""], &["secrets"], &["get", "create", "patch", "update"], &[]),
                rule(&[RBAC], &["roles", "rolebindings"], &["get", "list", "create", "patch", "update", "delete"], &[]),
            ],
        }),
        json!({
            "apiVersion": format!("{RBAC}/v1"),
            "kind": "RoleBinding",
            "metadata": {"name": "conductor", "namespace": NAMESPACE},
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "conductor"},
            "subjects": subject("User", CONDUCTOR),
        }),
        // Whose tokens are shown to it, and what they may: it has no rights to lend.
        cluster_role(
            SALT_API,
            json!([
                rule(&["authentication.k8s.io"], &["tokenreviews"], &["create"], &[]),
                rule(&["authorization.k8s.io"], &["subjectaccessreviews"], &["create"], &[]),
            ]),
        ),
        cluster_binding(SALT_API, subject("User", SALT_API)),
        json!({
            "apiVersion": format!("{RBAC}/v1"),
            "kind": "Role",
            "metadata": {"name": "salt-api", "namespace": NAMESPACE},
            "rules": [
                rule(&[GROUP], &["agents"], &["get", "list", "watch", "patch", "delete"], &[]),
                rule(&[GROUP], &["runs"], &["get", "list", "watch", "create"], &[]),
                // An agent's own rights go with it.
                rule(&[RBAC], &["roles", "rolebindings"], &["delete"], &[]),
            ],
        }),
        json!({
            "apiVersion": format!("{RBAC}/v1"),
            "kind": "RoleBinding",
            "metadata": {"name": "salt-api", "namespace": NAMESPACE},
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "salt-api"},
            "subjects": subject("User", SALT_API),
        }),
    ]
}

/// What the conductor may do everywhere: with the fleet, with nodes, with what runs on them, and with certificates.
fn conductor_rules() -> Value {
    let certificates = "certificates.k8s.io";
    json!([
        // These are in one namespace only, which holds a binding for each agent; what is allowed everywhere is found
        // before them.
        rule(&[GROUP], &["*"], &["*"], &[]),
        rule(&[""], &["nodes"], &["get", "list", "watch", "patch", "delete"], &[]),
        rule(&[""], &["pods"], &["list", "delete"], &[]),
        // What a budget allows is decided by the API server.
        rule(&[""], &["pods/eviction"], &["create"], &[]),
        // Whether the control plane has a leader is looked at, and nothing else.
        rule(&["coordination.k8s.io"], &["leases"], &["get"], &["kube-controller-manager", "kube-scheduler"]),
        rule(
            &[certificates],
            &["certificatesigningrequests"],
            &["get", "list", "watch", "create", "delete"],
            &[],
        ),
        rule(
            &[certificates],
            &["certificatesigningrequests/approval", "certificatesigningrequests/status"],
            &["update", "patch"],
            &[],
        ),
        rule(&[certificates], &["signers"], &["approve", "sign"], &["metalk8s.scality.com/*"],),
        rule(&["crd.projectcalico.org"], &["ippools"], &["list", "watch", "patch"], &[]),
    ])
}

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str], names: &[&str]) -> Value {
    let mut rule = json!({"apiGroups": groups, "resources": resources, "verbs": verbs});
    if !names.is_empty() {
        rule["resourceNames"] = json!(names);
    }
    rule
}

fn add(graph: &mut Graph, object: Value) -> metalk8s_engine::StateId {
    let object = labelled(object);
    graph.add(title(&object), state(object))
}

fn labelled(mut object: Value) -> Value {
    object["metadata"]["labels"][labels::MANAGED_BY] = labels::MANAGED_BY_VALUE.into();
    object["metadata"]["labels"][labels::PART_OF] = labels::PART_OF_VALUE.into();
    object
}

fn state(object: Value) -> State {
    object_state(object, MANAGER)
}
