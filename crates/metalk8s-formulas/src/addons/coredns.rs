//! CoreDNS, the cluster's name server.

use std::net::IpAddr;

use metalk8s_engine::Graph;
use metalk8s_types::{Grains, Pillar};

use super::manifests::{Addon, rolled_out};
use crate::{
    bootstrap::FormulaError,
    layout::{CLUSTER_DOMAIN, dns_service},
};

const FILES: [(&str, &str); 2] = [
    ("rbac.yaml", include_str!("../../../../addons/coredns/manifests/rbac.yaml")),
    ("deployment.yaml", include_str!("../../../../addons/coredns/manifests/deployment.yaml")),
];

/// The addon, and the wait for its pods.
pub(crate) fn coredns(grains: &Grains, pillar: &Pillar) -> Result<Graph, FormulaError> {
    let mut addon = Addon::read("coredns", &FILES)?;
    addon.fill_images(pillar)?;
    addon.object("Service", "kube-dns")["spec"]["clusterIP"] = dns_service(pillar).to_string().into();
    addon.object("ConfigMap", "coredns")["data"]["Corefile"] = corefile(grains).into();
    let mut graph = Graph::default();
    let objects = addon.add_to(&mut graph, &[]);
    let ready = graph.add("coredns runs", rolled_out("Deployment", "coredns"));
    graph.require_all(&ready, &objects);
    Ok(graph)
}

/// The Corefile: the cluster's names, and everything else from the host's name servers.
///
/// `loop` asks these servers for a name that nobody has, at each start, and when nobody answers, again and again.
/// So it is left out where a question cannot come back: only a server on the host's own loopback would send it.
fn corefile(grains: &Grains) -> String {
    let guard = if grains.nameservers.iter().any(IpAddr::is_loopback) { "    loop\n" } else { "" };
    format!(
        ".:53 {{
    errors
    health {{
        lameduck 5s
    }}
    ready
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    prometheus :9153
    forward . /etc/resolv.conf
    cache 30
{guard}    reload
    loadbalance
}}
"
    )
}
