//! Addresses of the machine, and ranges that are used already.

use std::net::IpAddr;

use ipnet::IpNet;
use metalk8s_diagnostics::explain;
use metalk8s_types::{BootstrapConfiguration, Grains};

use super::{Finding, Observed, observed::Route};

/// Beginnings of the names of interfaces that kube-proxy and Calico make.
const OURS: [&str; 5] = ["cali", "vxlan.calico", "vxlan-v6.calico", "tunl0", "kube-ipvs0"];

pub(super) fn check(
    grains: &Grains,
    configuration: &BootstrapConfiguration,
    observed: &Observed,
    findings: &mut Vec<Finding>,
) {
    let networks = &configuration.networks;
    findings.extend(plane(grains, "networks.controlPlane", &networks.control_plane).err());
    findings.extend(overlay(grains, "networks.workloadPlane", &networks.workload_plane).err());
    for (key, range) in [("networks.pods", &networks.pods), ("networks.services", &networks.services)] {
        in_use(grains, observed, key, range, findings);
    }
}

/// The first range in which the machine has an address decides, and there it must have only one (BOOT-32).
fn plane(grains: &Grains, key: &str, ranges: &[IpNet]) -> Result<(IpNet, IpAddr), Finding> {
    let Some((range, found)) = grains.addresses_in(ranges) else {
        let has: Vec<String> = grains
            .addresses
            .iter()
            .map(|address| format!("{} ({})", address.network.addr(), address.interface))
            .collect();
        let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
        let message = format!("no address of this machine is in `{key}` ({}); it has {has}", list(ranges));
        return Err(Finding::error(explain::NO_ADDRESS, message));
    };
    if let [one] = found[..] {
        return Ok((range, one));
    }
    let message = format!("these addresses are all in {range} of `{key}`: {}", list(&found));
    Err(Finding::error(explain::SEVERAL_ADDRESSES, message))
}

/// Calico is told the ranges of the workload plane and goes by the order of interfaces, not by that of the ranges:
/// with addresses in two of them it may use another one than everything else does.
fn overlay(grains: &Grains, key: &str, ranges: &[IpNet]) -> Result<(), Finding> {
    let (range, own) = plane(grains, key, ranges)?;
    let mut others: Vec<IpAddr> = grains.addresses.iter().map(|address| address.network.addr()).collect();
    others.retain(|address| *address != own && ranges.iter().any(|range| range.contains(address)));
    if others.is_empty() {
        return Ok(());
    }
    let message = format!(
        "`{key}` has {own} of this machine in {range} and {} in others of its ranges, and the overlay could use either",
        list(&others)
    );
    Err(Finding::error(explain::SEVERAL_ADDRESSES, message))
}

fn in_use(grains: &Grains, observed: &Observed, key: &str, range: &IpNet, findings: &mut Vec<Finding>) {
    let is_ours =
        |interface: &str| observed.already_begun && OURS.iter().any(|ours| interface.starts_with(ours));
    let mut used = |what: String| {
        let message = format!("`{key}` ({range}) is in use already: {what}");
        findings.push(Finding::error(explain::NETWORK_IN_INFRASTRUCTURE, message));
    };
    for address in grains.addresses.iter().filter(|address| !is_ours(&address.interface)) {
        if overlap(range, &address.network.trunc()) {
            used(format!("{} has the address {}", address.interface, address.network));
        }
    }
    for Route { interface, destination } in &observed.routes {
        // The default route leads everywhere, and the route of an interface's own network was told above.
        let is_default = destination.prefix_len() == 0;
        let of_an_address = grains
            .addresses
            .iter()
            .any(|address| address.interface == *interface && address.network.trunc() == *destination);
        // Calico keeps the blocks of this node by routes that lead nowhere, which name no interface, and leads to
        // those of other nodes in the same network without a tunnel.
        let is_block = observed.already_begun && (interface == "*" || range.contains(destination));
        if !is_default && !of_an_address && !is_block && !is_ours(interface) && overlap(range, destination) {
            used(format!("{interface} has a route to {destination}"));
        }
    }
    for server in grains.nameservers.iter().filter(|server| range.contains(*server)) {
        used(format!("/etc/resolv.conf names the name server {server}"));
    }
}

fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use metalk8s_types::fake::address;

    use crate::precheck::testing;

    fn network(change: impl FnOnce(&mut Grains, &mut Observed)) -> Vec<String> {
        let (mut grains, mut observed) = (testing::grains(), testing::observed());
        change(&mut grains, &mut observed);
        let mut findings = Vec::new();
        check(&grains, &testing::configuration(), &observed, &mut findings);
        findings.iter().map(|finding| format!("{} {}", finding.code, finding.message)).collect()
    }

    fn route(interface: &str, destination: &str) -> Route {
        Route { interface: interface.into(), destination: destination.parse().unwrap() }
    }

    #[test]
    fn one_address_in_each_plane_is_right() {
        assert_eq!(network(|_, _| {}), [""; 0]);
    }

    #[test]
    fn a_plane_without_an_address_tells_what_the_machine_has() {
        let findings = network(|grains, _| grains.addresses = vec![address("eth9", "192.0.2.7/24")]);
        assert_eq!(
            findings,
            [
                "MK1208 no address of this machine is in `networks.controlPlane` (10.200.1.0/28); it has \
                 192.0.2.7 (eth9)",
                "MK1208 no address of this machine is in `networks.workloadPlane` (10.200.2.0/28); it has \
                 192.0.2.7 (eth9)",
            ]
        );
    }

    #[test]
    fn two_addresses_in_one_range_are_named() {
        let findings = network(|grains, _| grains.addresses.push(address("eth0", "10.200.1.3/28")));
        assert_eq!(
            findings,
            [
                "MK1209 these addresses are all in 10.200.1.0/28 of `networks.controlPlane`: 10.200.1.2, 10.200.1.3"
            ]
        );
    }

    #[test]
    fn the_first_range_with_an_address_decides() {
        let grains = testing::grains();
        let ranges = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpNet>>();
        let found = plane(&grains, "x", &ranges(&["192.0.2.0/24", "10.200.2.0/28", "10.200.1.0/28"]));
        assert_eq!(found, Ok(("10.200.2.0/28".parse().unwrap(), [10, 200, 2, 2].into())));
        assert!(plane(&grains, "x", &ranges(&["10.200.0.0/16"])).is_err());
    }

    #[test]
    fn the_overlay_must_have_no_choice() {
        let grains = testing::grains();
        let found = |texts: &[&str]| {
            let ranges: Vec<IpNet> = texts.iter().map(|text| text.parse().unwrap()).collect();
            overlay(&grains, "networks.workloadPlane", &ranges).map_err(|finding| finding.message)
        };
        assert_eq!(found(&["192.0.2.0/24", "10.200.2.0/28"]), Ok(()));
        assert_eq!(found(&["10.200.2.0/28", "10.200.2.0/24"]), Ok(()), "it is the same address");
        let told = "`networks.workloadPlane` has 10.200.2.2 of this machine in 10.200.2.0/28 and 10.200.1.2 in others \
                    of its ranges, and the overlay could use either";
        assert_eq!(found(&["192.0.2.0/24", "10.200.2.0/28", "10.200.1.0/28"]), Err(told.to_owned()));
        assert_eq!(found(&["10.200.2.0/28", "10.200.2.0/24", "10.200.1.0/28"]), Err(told.to_owned()));
    }

    #[test]
    fn a_range_that_the_machine_uses_already_is_told() {
        let findings = network(|grains, observed| {
            grains.addresses.push(address("docker0", "10.233.1.1/24"));
            observed.routes.push(route("docker0", "10.233.1.0/24"));
            observed.routes.push(route("eth0", "10.100.0.0/16"));
            observed.routes.push(route("eth0", "0.0.0.0/0"));
            grains.nameservers.push([10, 96, 0, 53].into());
        });
        assert_eq!(
            findings,
            [
                "MK1215 `networks.pods` (10.233.0.0/16) is in use already: docker0 has the address 10.233.1.1/24",
                "MK1215 `networks.services` (10.96.0.0/12) is in use already: eth0 has a route to 10.100.0.0/16",
                "MK1215 `networks.services` (10.96.0.0/12) is in use already: /etc/resolv.conf names the name \
                 server 10.96.0.53",
            ]
        );
    }

    #[test]
    fn our_own_interfaces_are_no_conflict_once_the_bootstrap_has_begun() {
        let running = |already_begun| {
            network(|grains, observed| {
                observed.already_begun = already_begun;
                grains.addresses.push(address("vxlan.calico", "10.233.7.0/32"));
                observed.routes.push(route("cali1234", "10.233.7.3/32"));
                observed.routes.push(route("*", "10.233.7.0/26"));
                observed.routes.push(route("eth1", "10.233.104.0/26"));
            })
        };
        assert_eq!(running(true), [""; 0]);
        assert_eq!(running(false).len(), 4);
    }
}
