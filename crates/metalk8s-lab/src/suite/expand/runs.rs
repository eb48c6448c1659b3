//! A run of the fleet, as one looks at it and ends it.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Machine, NODE, Stage, deploy, node_machine, said, wait_until};
use crate::{Output, SOON, suite::fleet_run::FleetRun};

/// What holds up the kubelet's start, until this file is there.
const DROP_IN: &str = "/run/systemd/system/kubelet.service.d/held.conf";
const GO_ON: &str = "/run/go-on";
/// Where somebody who watches the run sees it, and with what that has ended.
const WATCHED: &str = "/run/watched";
/// A run that nobody has begun.
const UNKNOWN: &str = "20200101000000000000";

/// A deployment is cancelled while it starts the kubelet: it ends after that step, and the next one has nothing to do.
pub(super) fn are_cancelled(stage: &Stage) -> Result<()> {
    let (bootstrap, machine) = (stage.lab.bootstrap()?, node_machine(stage)?);
    machine.run_checked(&format!(
        "set -e; rm -f {GO_ON}; mkdir -p $(dirname {DROP_IN}); \
         printf '[Service]\\nExecStartPre=/bin/sh -c \"until test -e {GO_ON}; do sleep 0.2; done\"\\n' > {DROP_IN}; \
         systemctl daemon-reload; systemctl stop kubelet.service"
    ))?;
    let cancelled = begun_and_cancelled(stage);
    machine.run_checked(&format!(
        "touch {GO_ON}; systemctl start kubelet.service; rm {DROP_IN} {GO_ON}; systemctl daemon-reload"
    ))?;
    let run = cancelled?;
    wait_until("the run to be cancelled", SOON, || {
        let status = run.status().map_err(|error| format!("{error:#}"))?;
        if status["phase"] == "Cancelled" { Ok(()) } else { Err(status.to_string()) }
    })?;
    let (shown, listed) = states(bootstrap, run.id())?;
    ensure!((&*shown, &*listed) == ("cancelled", "cancelled"), "it is shown as {shown}, listed as {listed}");
    wait_until("the end of who watches it", SOON, || {
        let ended = bootstrap.run(&format!("cat {WATCHED}.code")).map_err(|error| error.to_string())?;
        if ended.stdout.trim() == "1" { Ok(()) } else { Err(said(&ended)) }
    })?;
    let watched = bootstrap.run_checked(&format!("cat {WATCHED}"))?;
    for words in ["> Applying the roles... done [", "cancelled before: Waiting until the node is ready"] {
        ensure!(watched.contains(words), "`{words}` is not in it: {watched}");
    }
    deploy::again(stage)
}

/// Begins a deployment, watches it, and cancels it while the roles are applied.
fn begun_and_cancelled(stage: &Stage) -> Result<FleetRun<'_>> {
    let bootstrap = stage.lab.bootstrap()?;
    let run = FleetRun::deploy(stage, NODE)?;
    let id = run.id();
    bootstrap.run_checked(&format!(
        "rm -f {WATCHED} {WATCHED}.code; systemd-run --quiet --collect --unit run-watch \
         /bin/sh -c 'metalk8s run watch {id} --no-progress > {WATCHED} 2>&1; echo $? > {WATCHED}.code'"
    ))?;
    run.at("apply")?;
    // Steps are told as they end: this one has ended, and the run goes on.
    wait_until("who watches it to see that", SOON, || {
        let watched = bootstrap.run(&format!("cat {WATCHED}")).map_err(|error| error.to_string())?;
        let has_begun = watched.stdout.contains("> Applying the roles...");
        let is_told = has_begun && watched.stdout.contains("> Checking the Node object... done [");
        if is_told { Ok(()) } else { Err(said(&watched)) }
    })?;
    let (shown, listed) = states(bootstrap, id)?;
    ensure!((&*shown, &*listed) == ("running", "running"), "it is shown as {shown}, listed as {listed}");
    let cancelled = run_command(bootstrap, &format!("cancel {id}"))?;
    ensure!(cancelled.success(), "{}", said(&cancelled));
    for words in ["cancel", "show", "watch"] {
        let unknown = run_command(bootstrap, &format!("{words} {UNKNOWN}"))?;
        ensure!(unknown.code == 1 && unknown.stderr.contains(UNKNOWN), "{}", said(&unknown));
    }
    Ok(run)
}

/// How the run stands, as it is shown by itself and as it is listed among others.
fn states(machine: &Machine, id: &str) -> Result<(String, String)> {
    let json = |words: &str| -> Result<Value> {
        let output = run_command(machine, &format!("{words} --output json"))?;
        ensure!(output.success(), "{}", said(&output));
        serde_json::from_str(&output.stdout).context("no JSON")
    };
    let state = |run: &Value| run["state"].as_str().map(str::to_owned).context("a run has no state");
    let listed = json("list")?;
    let listed = listed.as_array().into_iter().flatten().find(|run| run["run"] == id);
    let listed = listed.with_context(|| format!("{id} is not in the list"))?;
    Ok((state(&json(&format!("show {id}"))?)?, state(listed)?))
}

fn run_command(machine: &Machine, words: &str) -> Result<Output> {
    Ok(machine.run(&format!("metalk8s run {words}"))?)
}
