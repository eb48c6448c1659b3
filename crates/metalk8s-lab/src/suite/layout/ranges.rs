//! Planes of two ranges each (NET-09, P210): the Bootstrap node is in one of them, and machines that join in both.
//!
//! The ranges are halves of one network, since a lab has no router: what is shown is who is told of which range, and
//! not that traffic finds its way between networks.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use ipnet::Ipv4Net;
use serde_json::Value;

use super::{Stage, items, kubectl_json, text};
use crate::{Lab, Machine, install};

/// The planes as the settings of the cluster name them, and a machine's address in each.
const PLANES: [(&str, Address); 2] =
    [("control_plane", |machine| machine.control), ("workload_plane", |machine| machine.workload)];
type Address = fn(&Machine) -> Ipv4Addr;
/// A machine that has joined, and knows of the ranges what the cluster tells it.
const ASKED: &str = "node5";
/// The configuration of the manual but for the planes.
pub(super) fn configuration(lab: &Lab) -> Result<String> {
    let [control, workload] = PLANES.map(|(_, address)| {
        let addresses: Vec<Ipv4Addr> = lab.machines.iter().map(address).collect();
        halves(&addresses)
    });
    let (control, mut workload) =
        control.zip(workload).context("there are not two machines with addresses of their own")?;
    // Whoever looks at the first range alone, or at the last, finds no address of the Bootstrap node in one plane.
    workload.reverse();
    Ok(install::configuration_of_ranges(&control, &workload))
}

/// The halves of the smallest range that holds all of these addresses: each of them is in exactly one half, and each
/// half has some. `None` where there are not two addresses. Pure.
fn halves(addresses: &[Ipv4Addr]) -> Option<[Ipv4Net; 2]> {
    let (first, last) = (*addresses.iter().min()?, *addresses.iter().max()?);
    let in_common = (u32::from(first) ^ u32::from(last)).leading_zeros();
    let half = |address| Some(Ipv4Net::new(address, u8::try_from(in_common + 1).ok()?).ok()?.trunc());
    Some([half(first)?, half(last)?])
}

/// The API knows each node by its machine's address in the control plane, the overlay by that in the workload plane,
/// and each range that the cluster was told of has some.
pub(super) fn have_nodes(stage: &Stage) -> Result<()> {
    let nodes = kubectl_json(stage.lab.bootstrap()?, "get nodes")?;
    for machine in &stage.lab.machines {
        let name = machine.name.as_str();
        let node = items(&nodes["items"]).iter().find(|node| node["metadata"]["name"] == name);
        let node = node.with_context(|| format!("there is no node `{name}`"))?;
        let (internal, overlay) = (internal(node), overlay(node));
        ensure!(internal == [machine.control], "the API knows `{name}` by {internal:?}: {}", machine.control);
        ensure!(
            overlay == Some(machine.workload),
            "the overlay reaches `{name}` by {overlay:?}: {}",
            machine.workload
        );
    }
    let told = stage.machine(ASKED)?.run_checked("salt-call pillar.get networks --out json")?;
    let told: Value = serde_json::from_str(&told).with_context(|| format!("no JSON: {told}"))?;
    for (plane, address) in PLANES {
        let ranges = items(&told["local"][plane]["cidr"]);
        ensure!(ranges.len() == 2, "`{ASKED}` is told of other ranges than two of each plane: {told}");
        for range in ranges {
            let range: Ipv4Net = text(range).parse().with_context(|| format!("no range: {range}"))?;
            let inside = stage.lab.machines.iter().filter(|machine| range.contains(&address(machine)));
            let inside: Vec<&str> = inside.map(|machine| machine.name.as_str()).collect();
            ensure!(!inside.is_empty(), "no node is in the range {range} of {plane}: {told}");
            stage.note(format!("{range} has {}", inside.join(", ")));
        }
    }
    Ok(())
}

/// All addresses that the kubelet has told as those of its node.
fn internal(node: &Value) -> Vec<Ipv4Addr> {
    let addresses = items(&node["status"]["addresses"]).iter();
    let internal = addresses.filter(|address| address["type"] == "InternalIP");
    internal.filter_map(|address| text(&address["address"]).parse().ok()).collect()
}

/// The address that Calico has found on the node; the length of its prefix is the interface's.
fn overlay(node: &Value) -> Option<Ipv4Addr> {
    let address = text(&node["metadata"]["annotations"]["projectcalico.org/IPv4Address"]);
    address.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lab::MOST_MACHINES;

    #[test]
    fn each_address_is_in_one_half_and_each_half_has_some() {
        for machines in 2..=MOST_MACHINES {
            let addresses: Vec<_> =
                (0..machines).map(|index| Ipv4Addr::new(198, 18, 7, 10 + index)).collect();
            let [low, high] = halves(&addresses).unwrap();
            assert!(!low.contains(&high) && !high.contains(&low), "{low} and {high}");
            let (inside, outside): (Vec<Ipv4Addr>, Vec<Ipv4Addr>) =
                addresses.iter().partition(|address| low.contains(*address));
            assert!(!inside.is_empty() && !outside.is_empty(), "{machines}: {low} and {high}");
            assert!(outside.iter().all(|address| high.contains(address)), "{machines}: {low} and {high}");
        }
        assert_eq!(halves(&[]), None);
        assert_eq!(halves(&[[198, 18, 7, 10].into()]), None);
    }

    #[test]
    fn six_machines_are_split_where_a_configuration_may_split_them() {
        let addresses: Vec<_> = (10..16).map(|last| Ipv4Addr::new(198, 18, 7, last)).collect();
        let expected = ["198.18.7.8/30", "198.18.7.12/30"].map(|range| range.parse::<Ipv4Net>().unwrap());
        assert_eq!(halves(&addresses), Some(expected));
    }

    #[test]
    fn addresses_of_a_node_are_read_from_its_status_and_from_what_calico_says() {
        let node = json!({
            "metadata": {"annotations": {"projectcalico.org/IPv4Address": "198.19.7.11/24"}},
            "status": {"addresses": [
                {"type": "InternalIP", "address": "198.18.7.11"}, {"type": "Hostname", "address": "node1"},
            ]},
        });
        assert_eq!(internal(&node), [Ipv4Addr::new(198, 18, 7, 11)]);
        assert_eq!(overlay(&node), Some(Ipv4Addr::new(198, 19, 7, 11)));
        assert_eq!((internal(&json!({})), overlay(&json!({}))), (Vec::new(), None));
    }
}
