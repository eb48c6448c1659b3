//! A worker whose machine is given other addresses.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{NODE, Stage, deploy, deploy_node, kubectl, kubectl_json, node_machine, said, wait_until};
use crate::Machine;

/// The last byte of the addresses that it is given; the lab counts from below.
const LAST: u8 = 201;

/// It moves, is deployed again, works, and moves back.
pub(super) fn is_deployed_again(stage: &Stage) -> Result<()> {
    let machine = node_machine(stage)?;
    let of = |address: Ipv4Addr| {
        let [a, b, c, _] = address.octets();
        Ipv4Addr::new(a, b, c, LAST)
    };
    let there = follows(
        stage,
        machine,
        [(machine.control, of(machine.control)), (machine.workload, of(machine.workload))],
    );
    let back = follows(
        stage,
        machine,
        [(of(machine.control), machine.control), (of(machine.workload), machine.workload)],
    );
    there?;
    back
}

fn follows(stage: &Stage, machine: &Machine, moves: [(Ipv4Addr, Ipv4Addr); 2]) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    for (old, new) in moves {
        // With its only address the kernel takes the routes by it, which whoever configures a network sets again.
        machine.run_checked(&format!(
            "set -- $(ip -oneline -4 address show to {old} | awk '{{print $2, $4}}'); \
             routes=$(ip route show default | sed 's/{old}/{new}/'); \
             ip address delete \"$2\" dev \"$1\" && ip address add {new}/\"${{2#*/}}\" dev \"$1\" && \
             if [ -n \"$routes\" ] && [ -z \"$(ip route show default)\" ]; then ip route add $routes; fi"
        ))?;
    }
    let [(_, control), (_, workload)] = moves;
    // The balancer's connections to API servers came from the former address.
    wait_until("the agent to answer", Duration::from_secs(120), || {
        let asked = bootstrap.run(&format!("metalk8s salt {NODE} grains.get metalk8s:control_plane_ip"));
        let asked = asked.map_err(|error| error.to_string())?;
        if asked.stdout.contains(&control.to_string()) { Ok(()) } else { Err(said(&asked)) }
    })?;
    let shown = bootstrap.run_checked(&format!("metalk8s node deploy {NODE} --dry-run"))?;
    ensure!(shown.contains(&format!("address {control} instead of")), "it is not foreseen: {shown}");
    let output = deploy_node(stage, NODE)?;
    ensure!(output.success(), "{}", said(&output));
    let node = kubectl_json(bootstrap, &format!("get node {NODE}"))?;
    let addresses = node["status"]["addresses"].as_array().context("it has no addresses")?;
    let own = |address: &serde_json::Value| address["address"] == control.to_string();
    ensure!(addresses.iter().any(own), "the API knows it by {addresses:?}");
    let overlay = &node["metadata"]["annotations"]["projectcalico.org/IPv4Address"];
    let is_new = overlay.as_str().is_some_and(|address| address.starts_with(&format!("{workload}/")));
    ensure!(is_new, "the overlay reaches it by {overlay}");
    deploy::works(stage)?;
    // The API server reaches its kubelet, whose certificate has the address.
    kubectl(bootstrap, &format!("logs --namespace kube-system --tail 1 apiserver-proxy-{NODE}"))?;
    deploy::again(stage)
}
