//! Ports that the node listens on (constants.md, section 1).

use std::net::IpAddr;

use metalk8s_diagnostics::explain;
use metalk8s_types::{BootstrapConfiguration, Grains, Role};

use super::{Finding, Observed, observed::Listener};

/// On which addresses a part listens.
#[derive(Clone, Copy)]
enum Bind {
    All,
    ControlPlane,
    Loopback,
}

/// A port, where it is opened, by what, whether the node fails without it, and the role that brings it.
struct Port(u16, Bind, &'static str, bool, Option<Role>);

const PORTS: [Port; 21] = [
    Port(2379, Bind::ControlPlane, "etcd", true, Some(Role::Etcd)),
    Port(2379, Bind::Loopback, "etcd", true, Some(Role::Etcd)),
    Port(2380, Bind::ControlPlane, "etcd", true, Some(Role::Etcd)),
    Port(2381, Bind::Loopback, "etcd", true, Some(Role::Etcd)),
    Port(4507, Bind::ControlPlane, "salt-api", true, Some(Role::Bootstrap)),
    Port(6443, Bind::ControlPlane, "kube-apiserver", true, Some(Role::Master)),
    Port(7080, Bind::Loopback, "apiserver-proxy", true, None),
    Port(7443, Bind::Loopback, "apiserver-proxy", true, None),
    Port(8080, Bind::ControlPlane, "repositories", true, Some(Role::Bootstrap)),
    Port(9099, Bind::Loopback, "calico-node", true, None),
    Port(10248, Bind::Loopback, "kubelet", true, None),
    Port(10249, Bind::Loopback, "kube-proxy", true, None),
    Port(10250, Bind::ControlPlane, "kubelet", true, None),
    Port(10256, Bind::Loopback, "kube-proxy", true, None),
    Port(10257, Bind::ControlPlane, "kube-controller-manager", true, Some(Role::Master)),
    Port(10259, Bind::ControlPlane, "kube-scheduler", true, Some(Role::Master)),
    Port(80, Bind::All, "the workload-plane Ingress", false, None),
    Port(443, Bind::All, "the workload-plane Ingress", false, None),
    Port(8443, Bind::ControlPlane, "the control-plane Ingress", false, Some(Role::Master)),
    Port(9100, Bind::All, "node-exporter", false, None),
    Port(9101, Bind::Loopback, "calico-node", false, None),
];

/// With MetalLB.
const METALLB_PORTS: [Port; 2] = [
    Port(7472, Bind::Loopback, "metallb-speaker", true, None),
    Port(7946, Bind::ControlPlane, "metallb-speaker", true, None),
];

/// With Calico's BGP.
const BGP_PORTS: [Port; 1] = [Port(179, Bind::All, "calico-bird", true, None)];

/// Names under which the kernel knows our own parts; it keeps 15 characters of each.
const OURS: [&str; 15] = [
    "apiserver-proxy",
    "bird",
    "calico-node",
    "etcd",
    "kube-apiserver",
    "kube-controller",
    "kube-proxy",
    "kube-scheduler",
    "kubelet",
    "kubernetes",
    "metalk8s",
    "metallb-speaker",
    "node_exporter",
    "repositories",
    "traefik",
];

pub(super) fn check(
    grains: &Grains,
    configuration: &BootstrapConfiguration,
    observed: &Observed,
    findings: &mut Vec<Finding>,
) {
    let control_plane = grains.address_in(&configuration.networks.control_plane);
    let mut told: Vec<u16> = Vec::new();
    let is_brought = |role: &Option<Role>| role.is_none_or(|role| observed.roles.contains(&role));
    let balanced = METALLB_PORTS.iter().filter(|_| configuration.addons.metallb);
    let routed = BGP_PORTS.iter().filter(|_| configuration.addons.calico_bgp);
    let ports = PORTS.iter().filter(|port| is_brought(&port.4)).chain(balanced).chain(routed);
    for Port(port, bind, part, is_needed, _) in ports {
        let taken = observed.listeners.iter().find(|listener| {
            listener.port == *port
                && collide(*bind, control_plane, listener.address)
                && !(observed.already_begun && is_ours(listener))
        });
        let Some(listener) = taken.filter(|_| !told.contains(port)) else { continue };
        told.push(*port);
        let who = listener.process.as_deref().unwrap_or("a program that cannot be named");
        let message = format!("port {port}, which {part} needs, is taken by {who} on {}", listener.address);
        findings.push(if *is_needed {
            Finding::error(explain::PORT_IN_USE, message)
        } else {
            Finding::warning(explain::PORT_IN_USE, message)
        });
    }
}

fn is_ours(listener: &Listener) -> bool {
    listener.process.as_deref().is_some_and(|process| OURS.contains(&process))
}

fn collide(bind: Bind, control_plane: Option<IpAddr>, taken: IpAddr) -> bool {
    taken.is_unspecified()
        || match bind {
            Bind::All => true,
            Bind::ControlPlane => control_plane.is_none_or(|own| own == taken),
            Bind::Loopback => taken.is_loopback(),
        }
}

#[cfg(test)]
mod tests {
    use metalk8s_types::pillar::Addons;

    use super::*;
    use crate::precheck::testing;

    fn ports(already_begun: bool, taken: &[(u16, &str, Option<&str>)]) -> Vec<String> {
        ports_of(&testing::configuration(), already_begun, taken)
    }

    fn ports_of(
        configuration: &BootstrapConfiguration,
        already_begun: bool,
        taken: &[(u16, &str, Option<&str>)],
    ) -> Vec<String> {
        let listeners = taken
            .iter()
            .map(|(port, address, process)| Listener {
                port: *port,
                address: address.parse().unwrap(),
                process: process.map(str::to_owned),
            })
            .collect();
        let observed = Observed { already_begun, listeners, ..testing::observed() };
        let mut findings = Vec::new();
        check(&testing::grains(), configuration, &observed, &mut findings);
        findings.iter().map(|finding| format!("{:?} {}", finding.severity, finding.message)).collect()
    }

    #[test]
    fn a_taken_port_is_told_with_who_needs_and_who_has_it() {
        assert_eq!(
            ports(false, &[(10250, "0.0.0.0", Some("python3")), (2379, "::", None)]),
            [
                "Error port 2379, which etcd needs, is taken by a program that cannot be named on ::",
                "Error port 10250, which kubelet needs, is taken by python3 on 0.0.0.0",
            ]
        );
    }

    #[test]
    fn a_port_on_another_address_is_free_for_us() {
        assert!(ports(false, &[(6443, "192.0.2.1", None), (7443, "10.200.1.2", None)]).is_empty());
        assert_eq!(ports(false, &[(6443, "10.200.1.2", None), (7443, "127.0.0.1", None)]).len(), 2);
        assert_eq!(ports(false, &[(9100, "192.0.2.1", None)]).len(), 1);
    }

    #[test]
    fn ports_of_optional_parts_are_a_warning() {
        let findings = ports(false, &[(80, "0.0.0.0", Some("apache2"))]);
        assert_eq!(
            findings,
            ["Warning port 80, which the workload-plane Ingress needs, is taken by apache2 on 0.0.0.0"]
        );
    }

    #[test]
    fn ports_of_addons_are_needed_where_these_are_asked_for() {
        let with = |addons| {
            let configuration = BootstrapConfiguration { addons, ..testing::configuration() };
            let taken = [(7946, "10.200.1.2", Some("serf")), (179, "0.0.0.0", Some("bgpd"))];
            ports_of(&configuration, false, &taken)
        };
        assert_eq!(with(Addons::default()), [""; 0]);
        let told = "Error port 7946, which metallb-speaker needs, is taken by serf on 10.200.1.2";
        assert_eq!(with(Addons { metallb: true, ..Addons::default() }), [told]);
        let told = "Error port 179, which calico-bird needs, is taken by bgpd on 0.0.0.0";
        assert_eq!(with(Addons { calico_bgp: true, ..Addons::default() }), [told]);
    }

    #[test]
    fn our_own_parts_take_nothing_away_once_the_bootstrap_has_begun() {
        let taken =
            [(6443, "10.200.1.2", Some("kube-apiserver")), (10257, "10.200.1.2", Some("kube-controller"))];
        assert!(ports(true, &taken).is_empty());
        assert_eq!(ports(false, &taken).len(), 2);
        assert_eq!(ports(true, &[(6443, "10.200.1.2", Some("haproxy"))]).len(), 1);
    }
}
