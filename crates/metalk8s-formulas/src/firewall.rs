//! What other machines must reach (NET-20, NET-21) and packets of pods, in whatever firewall the host has.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use metalk8s_engine::{
    Graph, State,
    state::{Forwarding, Opening},
};
use metalk8s_types::{Pillar, Role};

use crate::salt_master;

/// Who may come in through an opening.
#[derive(Clone, Copy)]
enum From {
    /// Machines of the control plane.
    ControlPlane,
    /// Machines of the control plane, and pods.
    ControlPlaneAndPods,
    /// Machines of the workload plane.
    WorkloadPlane,
    /// Masters alone.
    Masters,
    /// Members of etcd alone.
    Etcd,
    /// Members of etcd and masters, each of which may ask every member.
    EtcdAndMasters,
}

/// What listens for other machines: name, the role that brings it, protocol, port (constants.md, section 1).
const OPENINGS: [(&str, Option<Role>, &str, u16, From); 7] = [
    ("repositories", Some(Role::Bootstrap), "tcp", 8080, From::ControlPlane),
    // Pods come by the address of the Service `salt-master`.
    ("salt-api", Some(Role::Bootstrap), "tcp", salt_master::API_PORT, From::ControlPlaneAndPods),
    // Pods of this node come by the address of the Service `kubernetes`, which leads here.
    ("kube-apiserver", Some(Role::Master), "tcp", 6443, From::ControlPlaneAndPods),
    ("etcd clients", Some(Role::Etcd), "tcp", 2379, From::EtcdAndMasters),
    ("etcd peers", Some(Role::Etcd), "tcp", 2380, From::Etcd),
    ("kubelet", None, "tcp", 10250, From::Masters),
    // The port that the kernel's and Calico's VXLAN agree on (RFC 7348).
    ("VXLAN", None, "udp", 4789, From::WorkloadPlane),
];

/// Speakers of MetalLB tell each other which nodes live (github.com/hashicorp/memberlist).
const METALLB_OPENINGS: [(&str, Option<Role>, &str, u16, From); 2] = [
    ("MetalLB members", None, "tcp", 7946, From::ControlPlane),
    ("MetalLB members over UDP", None, "udp", 7946, From::ControlPlane),
];

/// Nodes, and routers that ask them, exchange routes to pods (RFC 4271).
const BGP_OPENINGS: [(&str, Option<Role>, &str, u16, From); 1] =
    [("BGP", None, "tcp", 179, From::WorkloadPlane)];

/// Openings of a node with its roles, and the way for packets of pods. A host without a firewall needs none, and gets
/// no firewall.
pub(crate) fn openings(pillar: &Pillar) -> Graph {
    let mut graph = Graph::default();
    let networks = vec![pillar.networks.pods];
    let forwarded =
        graph.add("forwarding of pods", State::Forwarding(Forwarding { name: "pods".to_owned(), networks }));
    let is_wanted = |role: Option<Role>| role.is_none_or(|role| pillar.roles.contains(&role));
    let balanced = METALLB_OPENINGS.into_iter().filter(|_| pillar.addons.metallb);
    let routed = BGP_OPENINGS.into_iter().filter(|_| pillar.addons.calico_bgp);
    let all = OPENINGS.into_iter().filter(|opening| is_wanted(opening.1)).chain(balanced).chain(routed);
    for (name, _, protocol, port, from) in all {
        let sources = sources(pillar, from);
        // Without sources it would be open to everybody.
        if sources.is_empty() {
            continue;
        }
        let opening = graph.add(
            format!("opening {name}"),
            State::Opening(Opening { name: name.to_owned(), protocol: protocol.to_owned(), port, sources }),
        );
        // It has firewalld load its lasting configuration, which must not come between the two halves of an opening.
        graph.require(&opening, &forwarded);
    }
    graph
}

fn sources(pillar: &Pillar, from: From) -> Vec<IpNet> {
    let networks = &pillar.networks;
    match from {
        From::ControlPlane => networks.control_plane.clone(),
        From::ControlPlaneAndPods => networks.control_plane.iter().copied().chain([networks.pods]).collect(),
        From::WorkloadPlane => networks.workload_plane.clone(),
        From::Masters => hosts(&pillar.masters),
        From::Etcd => hosts(&pillar.etcd),
        From::EtcdAndMasters => hosts(pillar.etcd.iter().chain(&pillar.masters)),
    }
}

/// Sorted, so that the same machines make the same state.
fn hosts<'a>(addresses: impl IntoIterator<Item = &'a IpAddr>) -> Vec<IpNet> {
    let hosts: BTreeSet<IpNet> = addresses.into_iter().map(|address| (*address).into()).collect();
    hosts.into_iter().collect()
}
