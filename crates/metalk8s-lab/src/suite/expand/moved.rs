//! A worker whose machine is given other addresses.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};

use super::{NODE, Stage, deploy, deploy_node, kubectl, kubectl_json, node_machine, said, wait_until};
use crate::{Machine, SOON};

/// The last byte of the addresses that it is given; the lab counts from below.
const LAST: u8 = 201;

/// It moves, is deployed again, works, and moves back.
pub(super) fn is_deployed_again(stage: &Stage) -> Result<()> {
    let machine = node_machine(stage)?;
    let there = follows(stage, machine, &there_of(machine));
    let back = follows(stage, machine, &back_of(machine));
    there?;
    back
}

/// An address that a machine has, and another one for it.
pub(in crate::suite) type Move = (Ipv4Addr, Ipv4Addr);

/// To other addresses, in the control plane and in the workload plane.
pub(in crate::suite) fn there_of(machine: &Machine) -> [Move; 2] {
    let other = |address: Ipv4Addr| {
        let [a, b, c, _] = address.octets();
        Ipv4Addr::new(a, b, c, LAST)
    };
    [machine.control, machine.workload].map(|address| (address, other(address)))
}

/// Back to the addresses that the lab gave it.
pub(in crate::suite) fn back_of(machine: &Machine) -> [Move; 2] {
    there_of(machine).map(|(own, other)| (other, own))
}

fn follows(stage: &Stage, machine: &Machine, moves: &[Move; 2]) -> Result<()> {
    give(machine, moves)?;
    answers_from(stage, NODE, moves[0].1)?;
    is_followed(stage, NODE, moves)?;
    deploy::works(stage)?;
    deploy::again(stage)
}

/// Gives a machine other addresses, as whoever configures a network does.
pub(in crate::suite) fn give(machine: &Machine, moves: &[Move; 2]) -> Result<()> {
    for (old, new) in moves {
        // With its only address the kernel takes the routes by it, which whoever configures a network sets again.
        machine.run_checked(&format!(
            "set -- $(ip -oneline -4 address show to {old} | awk '{{print $2, $4}}'); \
             routes=$(ip route show default | sed 's/{old}/{new}/'); \
             ip address delete \"$2\" dev \"$1\" && ip address add {new}/\"${{2#*/}}\" dev \"$1\" && \
             if [ -n \"$routes\" ] && [ -z \"$(ip route show default)\" ]; then ip route add $routes; fi"
        ))?;
    }
    Ok(())
}

/// Waits until the agent of a node tells this address in the control plane.
pub(in crate::suite) fn answers_from(stage: &Stage, node: &str, control: Ipv4Addr) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    // The balancer's connections to API servers came from the former address.
    wait_until("the agent to answer", SOON, || {
        let asked = bootstrap.run(&format!("metalk8s salt {node} grains.get metalk8s:control_plane_ip"));
        let asked = asked.map_err(|error| error.to_string())?;
        if asked.stdout.contains(&control.to_string()) { Ok(()) } else { Err(said(&asked)) }
    })?;
    Ok(())
}

/// A deployment foresees the other addresses, and the cluster knows the node by them afterwards.
pub(in crate::suite) fn is_followed(stage: &Stage, node: &str, moves: &[Move; 2]) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    let [(_, control), _] = moves;
    let shown = bootstrap.run_checked(&format!("metalk8s node deploy {node} --dry-run"))?;
    ensure!(shown.contains(&format!("address {control} instead of")), "it is not foreseen: {shown}");
    let output = deploy_node(stage, node)?;
    ensure!(output.success(), "{}", said(&output));
    is_known(bootstrap, node, moves)?;
    // The API server reaches its kubelet, whose certificate has the address.
    kubectl(bootstrap, &format!("logs --namespace kube-system --tail 1 apiserver-proxy-{node}"))?;
    Ok(())
}

/// The cluster knows a node by the addresses to which it has moved.
pub(in crate::suite) fn is_known(bootstrap: &Machine, node: &str, moves: &[Move; 2]) -> Result<()> {
    let [(_, control), (_, workload)] = moves;
    let told = kubectl_json(bootstrap, &format!("get node {node}"))?;
    let addresses = told["status"]["addresses"].as_array().context("it has no addresses")?;
    let own = |address: &serde_json::Value| address["address"] == control.to_string();
    ensure!(addresses.iter().any(own), "the API knows it by {addresses:?}");
    let overlay = &told["metadata"]["annotations"]["projectcalico.org/IPv4Address"];
    let is_new = overlay.as_str().is_some_and(|address| address.starts_with(&format!("{workload}/")));
    ensure!(is_new, "the overlay reaches it by {overlay}");
    Ok(())
}
