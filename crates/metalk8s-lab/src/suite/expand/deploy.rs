//! The way of a machine into the cluster.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::super::{fleet_run::FleetRun, install::pod};
use super::{
    NODE, Stage, apply, deploy_node, deployment, in_master, kubectl, kubectl_json, manifest, node_machine,
    said, version_of_archive, wait_until,
};
use crate::SOON;

/// Kubernetes' node lifecycle controller looks each 5 s (`--node-monitor-period`) which Nodes are gone. One that is made
/// anew before has missed the deadline that the former one of its name had, and is NotReady at once.
const FORGOTTEN: Duration = Duration::from_secs(10);

pub(super) fn described(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    let deleted = kubectl(bootstrap, &format!("delete node {NODE} --ignore-not-found"))?;
    if !deleted.trim().is_empty() {
        std::thread::sleep(FORGOTTEN);
    }
    let told = apply(stage, &manifest(stage, NODE, &node_machine(stage)?.control.to_string())?)?;
    ensure!(told.trim() == format!("node/{NODE} created"), "kubectl said {told}");
    let nodes = kubectl(bootstrap, "get nodes")?;
    let line = nodes.lines().find(|line| line.starts_with(NODE)).context("the node is not listed")?;
    ensure!(line.contains("Unknown") && line.contains(" node "), "it is listed as {line}");
    let output = in_master(stage, &format!("salt-ssh --roster kubernetes {NODE} test.ping"))?;
    ensure!(output.success() && output.stdout == format!("{NODE}:\n    True\n"), "{}", said(&output));
    let node = kubectl_json(bootstrap, &format!("get node {NODE}"))?;
    let pinned = &node["metadata"]["annotations"][metalk8s_types::labels::SSH_HOST_KEY];
    ensure!(pinned.as_str().is_some_and(|key| key.starts_with("SHA256:")), "the host key is {pinned}");
    Ok(())
}

pub(super) fn foreseen(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    let shown = bootstrap.run(&format!("metalk8s node deploy {NODE} --dry-run --exit-code --output json"))?;
    ensure!(shown.code == 3, "{}", said(&shown));
    let trials: serde_json::Value = serde_json::from_str(&shown.stdout).context("it is no JSON")?;
    ensure!(trials[0]["failure"] == serde_json::json!([]), "it cannot be done: {trials}");
    let steps = trials[0]["steps"].as_array().context("no steps")?;
    let changes = |name: &str| {
        let step = steps.iter().find(|step| step["step"] == name);
        step.and_then(|step| step["changes"].as_array()).is_some_and(|changes| !changes.is_empty())
    };
    for step in ["prepare", "accept", "agent", "apply"] {
        ensure!(changes(step), "step `{step}` would change nothing: {trials}");
    }
    ensure!(!changes("examine") && !changes("register"), "what would change nothing does: {trials}");
    let version = version_of_archive(bootstrap)?;
    let output = in_master(stage, &format!("{} test=True", deployment(&version, NODE)))?;
    ensure!(output.success() && output.stdout.contains("Result: None"), "{}", said(&output));
    let machine = node_machine(stage)?;
    ensure!(machine.run("test -e /usr/bin/metalk8s")?.code == 1, "a package was installed");
    let agents = kubectl(bootstrap, "get agents -n metalk8s-fleet --output name")?;
    ensure!(!agents.contains(NODE), "it is a node of the fleet: {agents}");
    Ok(())
}

/// The deployment is begun, its conductor is killed while roles are applied, and nobody does anything about it.
pub(super) fn killed(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    let agents = kubectl(bootstrap, "get agents -n metalk8s-fleet --output name")?;
    ensure!(!agents.contains(NODE), "a deployment that was refused went on by itself: {agents}");
    let run = FleetRun::deploy(stage, NODE)?;
    run.at("apply")?;
    bootstrap.run_checked("pkill --signal KILL --full '^metalk8s conductor'")?;
    run.succeeds(Duration::from_secs(300))
}

pub(super) fn works(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    let node = kubectl_json(bootstrap, &format!("get node {NODE}"))?;
    let conditions = node["status"]["conditions"].as_array().context("it has no conditions")?;
    let is_ready =
        conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    ensure!(is_ready, "it is not Ready");
    pod::resolves_and_connects_on(bootstrap, Some(NODE))
}

pub(super) fn again(stage: &Stage) -> Result<()> {
    let began = Instant::now();
    let output = deploy_node(stage, NODE)?;
    ensure!(output.success(), "{}", said(&output));
    stage.note(format!("{:.1} s", began.elapsed().as_secs_f64()));
    ensure!(output.stdout.contains("Summary for bootstrap_master"), "no summary: {}", said(&output));
    ensure!(!output.stdout.contains("changed="), "something changed: {}", said(&output));
    Ok(())
}

pub(super) fn reboot(stage: &Stage) -> Result<()> {
    let machine = node_machine(stage)?;
    machine.reboot()?;
    machine.wait_booted()?;
    wait_until("the agent to answer", SOON, || {
        let output =
            in_master(stage, &format!("salt {NODE} test.ping")).map_err(|error| error.to_string())?;
        if output.success() { Ok(()) } else { Err(output.stdout) }
    })?;
    super::super::cluster::wait_for_pods(stage.lab.bootstrap()?)
}
