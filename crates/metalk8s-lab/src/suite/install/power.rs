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
    pod::resolves_and_connects(stage)
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
