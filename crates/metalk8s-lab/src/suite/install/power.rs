//! Reboots and power cuts.

use anyhow::{Context, Result, ensure};

use super::pod;
use crate::{
    machine::Machine,
    suite::{
        Stage,
        cluster::{SETTLE, kubectl_json, wait_settled},
    },
    wait_until,
};

pub(super) fn reboot(stage: &Stage) -> Result<()> {
    stage.lab.bootstrap()?.reboot()?;
    comes_back(stage)
}

pub(super) fn cut(stage: &Stage) -> Result<()> {
    stage.lab.bootstrap()?.power_cut()?;
    comes_back(stage)
}

/// A node's word about itself is old right after a boot: the kubelet must have renewed its lease since.
fn comes_back(stage: &Stage) -> Result<()> {
    stage.lab.networks.join()?;
    let machine = stage.lab.bootstrap()?;
    wait_until("the kubelet to report after the boot", SETTLE, || {
        lease_is_fresh(machine).map_err(|error| format!("{error:#}"))
    })?;
    wait_settled(machine)?;
    // A pod's condition may still be that of before the boot: only the name servers themselves know that they
    // have the cluster's names, and a question too early would be passed on to the outside.
    wait_until("all name servers to know the cluster's names", SETTLE, || {
        name_servers_are_ready(machine).map_err(|error| format!("{error:#}"))
    })?;
    // The ways to a Service's new pods are laid a moment after these are ready.
    wait_until("a pod to resolve and reach Services", SETTLE, || {
        pod::resolves_and_connects(stage).map_err(|error| format!("{error:#}"))
    })?;
    Ok(())
}

fn lease_is_fresh(machine: &Machine) -> Result<()> {
    let lease = kubectl_json(machine, &format!("get lease {} --namespace kube-node-lease", machine.name))?;
    let renewed = lease["spec"]["renewTime"].as_str().context("the lease has no time")?;
    let fresh = machine.run_checked(&format!(
        "[ \"$(date --date '{renewed}' +%s)\" -gt \"$(date --date \"$(systemctl show --property UserspaceTimestamp --value)\" +%s)\" ] \
         && echo yes || echo no"
    ))?;
    ensure!(fresh == "yes", "renewed last at {renewed}");
    Ok(())
}

fn name_servers_are_ready(machine: &Machine) -> Result<()> {
    let pods = kubectl_json(machine, "get pods --namespace kube-system --selector k8s-app=kube-dns")?;
    let pods = pods["items"].as_array().context("the list has no items")?;
    ensure!(!pods.is_empty(), "there is no name server");
    for pod in pods {
        let address = pod["status"]["podIP"].as_str().context("a name server has no address")?;
        machine.run_checked(&format!("curl --silent --fail --max-time 2 http://{address}:8181/ready"))?;
    }
    Ok(())
}
