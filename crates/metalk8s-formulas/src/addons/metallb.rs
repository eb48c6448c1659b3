//! MetalLB, which gives addresses to Services of the type LoadBalancer (NET-14).

use metalk8s_engine::Graph;
use metalk8s_types::Pillar;
use serde_json::Value;

use super::{
    crds,
    manifests::{Addon, UpstreamManifests, by_the_balancer, rolled_out_in},
};
use crate::bootstrap::FormulaError;

const NAMESPACE: &str = "metalk8s-loadbalancing";
const FIRST: [(&str, &str); 1] =
    [("namespace.yaml", include_str!("../../../../addons/metallb/manifests/namespace.yaml"))];
const REST: [(&str, &str); 3] = [
    ("rbac.yaml", include_str!("../../../../addons/metallb/manifests/rbac.yaml")),
    ("controller.yaml", include_str!("../../../../addons/metallb/manifests/controller.yaml")),
    ("speaker.yaml", include_str!("../../../../addons/metallb/manifests/speaker.yaml")),
];

/// The CRDs of the archive, then the addon, then the wait for its pods.
pub(crate) fn metallb(pillar: &Pillar, upstream: &UpstreamManifests) -> Result<Graph, FormulaError> {
    let mut graph = Graph::default();
    let mut first = crds::served(&mut graph, "metallb", upstream)?;
    first.extend(Addon::read("metallb", &FIRST)?.add_to(&mut graph, &[]));
    let mut addon = Addon::read("metallb", &REST)?;
    addon.fill_images(pillar)?;
    let speaker = addon.object("DaemonSet", "metallb-speaker");
    let environment =
        speaker.pointer_mut("/spec/template/spec/containers/0/env").and_then(Value::as_array_mut);
    environment.expect("the manifest has it").extend(by_the_balancer());
    let objects = addon.add_to(&mut graph, &first);
    for (kind, name) in [("Deployment", "metallb-controller"), ("DaemonSet", "metallb-speaker")] {
        let ready = graph.add(format!("{name} runs"), rolled_out_in(NAMESPACE, kind, name));
        graph.require_all(&ready, &objects);
    }
    Ok(graph)
}
