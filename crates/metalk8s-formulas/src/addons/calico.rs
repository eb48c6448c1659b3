//! Calico, the pods' network (NET-06).

use metalk8s_engine::{Graph, State, StateId, state::Command};
use metalk8s_types::{Grains, Pillar, paths};
use serde_json::Value;

use super::{
    crds,
    manifests::{Addon, UpstreamManifests, by_the_balancer, rolled_out, variable},
};
use crate::{bootstrap::FormulaError, hostname::node_name, layout::KUBECTL_CACHE};

const NODE: [(&str, &str); 2] = [
    ("rbac.yaml", include_str!("../../../../addons/calico/manifests/rbac.yaml")),
    ("daemonset.yaml", include_str!("../../../../addons/calico/manifests/daemonset.yaml")),
];
const BIRD: [(&str, &str); 1] =
    [("bird.yaml", include_str!("../../../../addons/calico/manifests/bird.yaml"))];
const CONTROLLERS: [(&str, &str); 1] =
    [("kube-controllers.yaml", include_str!("../../../../addons/calico/manifests/kube-controllers.yaml"))];

/// The CRDs of the archive, then the addon, then the wait for its pods.
pub(crate) fn calico(
    grains: &Grains,
    pillar: &Pillar,
    upstream: &UpstreamManifests,
) -> Result<Graph, FormulaError> {
    let mut graph = Graph::default();
    let established = crds::served(&mut graph, "calico", upstream)?;
    let mut addon = Addon::read("calico", &NODE)?;
    addon.fill_images(pillar)?;
    let environment = environment(pillar);
    let daemon_set = addon.object("DaemonSet", "calico-node");
    for list in ["initContainers", "containers"] {
        let containers = daemon_set["spec"]["template"]["spec"][list].as_array_mut();
        for container in containers.into_iter().flatten() {
            if let Some(own) = container["env"].as_array_mut() {
                own.extend(environment.iter().cloned());
            }
        }
    }
    let objects = addon.add_to(&mut graph, &established);
    let moved = graph.add("overlay reaches this node", State::Command(looks_again(grains, pillar)));
    graph.require_all(&moved, &objects);
    let ready = graph.add("calico-node runs", rolled_out("DaemonSet", "calico-node"));
    graph.require(&ready, &moved);
    if pillar.addons.calico_bgp {
        routed(&mut graph, pillar, &ready)?;
    }
    // A pod of the network that comes before the network fails, and is tried again only seconds later.
    let mut controllers = Addon::read("calico", &CONTROLLERS)?;
    controllers.fill_images(pillar)?;
    let objects = controllers.add_to(&mut graph, &[ready]);
    let ready =
        graph.add("calico-kube-controllers runs", rolled_out("Deployment", "calico-kube-controllers"));
    graph.require_all(&ready, &objects);
    Ok(graph)
}

/// Routes to pods by BGP, and then no overlay any more (NET-16).
fn routed(graph: &mut Graph, pillar: &Pillar, network: &StateId) -> Result<(), FormulaError> {
    let mut addon = Addon::read("calico", &BIRD)?;
    addon.fill_images(pillar)?;
    let own = addon.object("DaemonSet", "calico-bird").pointer_mut("/spec/template/spec/containers/0/env");
    own.and_then(Value::as_array_mut).expect("the manifest has it").extend(by_the_balancer());
    let objects = addon.add_to(graph, std::slice::from_ref(network));
    let speaks = graph.add("calico-bird runs", rolled_out("DaemonSet", "calico-bird"));
    graph.require_all(&speaks, &objects);
    let plain = graph.add("pods without an overlay", State::Command(unwrapped()));
    graph.require(&plain, &speaks);
    Ok(())
}

/// The pool that start-up made when there was no BGP wraps packets still.
fn unwrapped() -> Command {
    let pool = "ippools.crd.projectcalico.org default-ipv4-ippool";
    let kubectl = kubectl();
    Command {
        only_if: Some(shell(format!(
            "test \"$({kubectl} get {pool} --output 'jsonpath={{.spec.vxlanMode}}')\" != Never"
        ))),
        timeout_seconds: 60,
        ..Command::new(shell(format!(
            "{kubectl} patch {pool} --type merge --patch '{{\"spec\": {{\"ipipMode\": \"Never\", \"vxlanMode\": \"Never\"}}}}'"
        )))
    }
}

/// The agent has no home, where kubectl would keep what it learns.
fn kubectl() -> String {
    format!("kubectl --kubeconfig {} --cache-dir {KUBECTL_CACHE}", paths::ADMIN_KUBECONFIG)
}

fn shell(script: String) -> Vec<String> {
    vec!["sh".to_owned(), "-c".to_owned(), script]
}

/// calico-node looks for the node's address when it starts: it starts anew where it knows another one (NET-19).
fn looks_again(grains: &Grains, pillar: &Pillar) -> Command {
    let (node, address) = (node_name(grains), pillar.node.workload_plane);
    let kubectl = kubectl();
    let known = format!(
        "known=\"$({kubectl} get node {node} \
         --output 'jsonpath={{.metadata.annotations.projectcalico\\.org/IPv4Address}}')\"; known=\"${{known%/*}}\""
    );
    Command {
        only_if: Some(shell(format!("{known}; test -n \"$known\" && test \"$known\" != {address}"))),
        timeout_seconds: 180,
        ..Command::new(shell(format!(
            "{kubectl} --namespace kube-system delete pod --selector k8s-app=calico-node \
             --field-selector spec.nodeName={node} && \
             until {known}; test \"$known\" = {address}; do sleep 0.5; done"
        )))
    }
}

/// What depends on the settings of the cluster, the same for all containers of calico-node.
fn environment(pillar: &Pillar) -> Vec<Value> {
    let workload_plane: Vec<_> = pillar.networks.workload_plane.iter().map(ToString::to_string).collect();
    let mut list = Vec::from(by_the_balancer());
    list.extend([
        // BOOT-32: the overlay uses the address in the workload plane.
        variable("IP_AUTODETECTION_METHOD", format!("cidr={}", workload_plane.join(","))),
        variable("CALICO_IPV4POOL_CIDR", pillar.networks.pods.to_string()),
    ]);
    if pillar.addons.calico_bgp {
        list.push(variable("CALICO_IPV4POOL_VXLAN", "Never"));
    }
    if let Some(mtu) = pillar.networks.workload_plane_mtu {
        list.push(variable("FELIX_VXLANMTU", (mtu - 50).to_string()));
    }
    list
}
