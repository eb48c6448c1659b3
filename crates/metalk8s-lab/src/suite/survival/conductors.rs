//! Two conductors, of which one at a time does something.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use metalk8s_types::paths;

use super::{Stage, kubectl_json, wait_until, whole};
use crate::{SOON, suite::fleet_run::FleetRun};

/// The unit of the second one.
const SECOND: &str = "second-conductor";
/// How the first is found among the processes of the Bootstrap node: the second is called by its whole path.
const FIRST: &str = "^metalk8s conductor";

/// One waits; it takes over from one that has stopped without a word, which does nothing when it goes on.
pub(super) fn take_turns(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    let first = holder(stage)?;
    bootstrap.run_checked(&format!(
        "systemd-run --quiet --unit {SECOND} /usr/bin/metalk8s conductor --kubeconfig {}",
        paths::CONDUCTOR_KUBECONFIG
    ))?;
    FleetRun::deploy(stage, "node2")?.succeeds(SOON)?;
    ensure!(holder(stage)? == first, "the second has taken the lease of one that goes on");

    bootstrap.run_checked(&format!("pkill --signal STOP --full '{FIRST}'"))?;
    let began = Instant::now();
    let taken_over = FleetRun::deploy(stage, "node2").and_then(|run| run.succeeds(SOON));
    let seconds = began.elapsed().as_secs_f64();
    bootstrap.run_checked(&format!("pkill --signal CONT --full '{FIRST}'"))?;
    taken_over.context("while the first conductor stood still")?;
    let second = holder(stage)?;
    ensure!(second != first, "the lease is still held by {first}");
    stage.note(format!("taken over and deployed after {seconds:.1} s"));
    wait_until("the first to notice", SOON, || {
        let log = "crictl logs \"$(crictl ps --quiet --name '^salt-master$' | head -n 1)\" 2>&1 | tail -n 20";
        let log = bootstrap.run_checked(log).map_err(|error| error.to_string())?;
        if log.contains("has lost the lease") { Ok(()) } else { Err(log) }
    })?;
    FleetRun::deploy(stage, "node2")?.succeeds(SOON)?;
    ensure!(holder(stage)? == second, "the first has taken the lease of one that goes on");

    bootstrap.run_checked(&format!("systemctl stop {SECOND}"))?;
    FleetRun::deploy(stage, "node2")?.succeeds(SOON)?;
    ensure!(holder(stage)? == first, "the lease is not held by {first}");
    whole(stage)
}

fn holder(stage: &Stage) -> Result<String> {
    let lease = kubectl_json(stage.lab.bootstrap()?, "get lease conductor -n metalk8s-fleet")?;
    Ok(lease["spec"]["holderIdentity"].as_str().context("nobody holds the lease")?.to_owned())
}
