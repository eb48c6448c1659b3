//! Deployments of bare machines that are killed, lose their power or their space, and end well all the same.

use std::{thread::sleep, time::Duration};

use anyhow::{Result, ensure};
use metalk8s_diagnostics::Printer;

use super::{
    Check, Options, Stage, Suite, Tally,
    cluster::{condition, kubectl_json, said},
    expand::{NODE, apply, manifest, node_machine},
    fleet_run::FleetRun,
    run_checks,
};
use crate::{Lab, wait_until};

pub(super) mod kills;

/// Run by `metalk8s-lab suite interrupted`.
pub const SUITE: Suite = Suite {
    name: "interrupted",
    about: "deployments are killed at random moments, lose power and space, and go on",
    run,
};

/// How long a deployment may take with all that was done to it: a conductor that was killed some times is started
/// again after half a minute. Longer than the five minutes after which the conductor gives up a silent machine: how
/// it ends is what is looked at.
const PATIENCE: Duration = Duration::from_secs(480);
/// How long a machine is without power.
const OFF: Duration = Duration::from_secs(15);
const CHECKS: &[Check] = &[
    Check {
        name: "conductor, agents, jobs and calls are killed in deployments at random moments, which end well",
        run: kills::at_random_moments,
    },
    Check { name: "two deployments of a node at once come one after the other", run: twice },
    Check { name: "a machine loses its power in the middle, and becomes a node all the same", run: power },
    Check { name: "a disk that fills up is told, and with more space the same run goes on", run: disk },
    Check { name: "nothing has tried to leave the lab", run: super::install::nothing_leaves },
];

fn run(options: &Options, printer: &mut Printer) -> Result<Tally> {
    printer.data(&format!("seed {0}: --seed {0} kills at the same moments", options.seed));
    let lab = super::bootstrapped(options, SUITE.name, 1 + kills::NODES.len() as u8)?;
    Ok(run_checks(CHECKS, &Stage::new(Lab::clone(&lab), options.archive.clone(), options), printer))
}

/// Begins the deployment of a machine as it is.
fn begin<'s>(stage: &'s Stage, node: &str) -> Result<FleetRun<'s>> {
    apply(stage, &manifest(stage, node, &stage.machine(node)?.control.to_string())?)?;
    FleetRun::deploy(stage, node)
}

/// Why the run did not end well without anybody; then it is told to go on, and must end well.
fn ends(stage: &Stage, run: &FleetRun<'_>) -> Result<Option<String>> {
    if run.end(PATIENCE)? {
        return Ok(None);
    }
    let why = run.status()?["message"].as_str().unwrap_or("nothing was told").to_owned();
    let output = stage.lab.bootstrap()?.run_for(&format!("metalk8s run resume {}", run.id()), PATIENCE)?;
    ensure!(output.success(), "{}", said(&output));
    Ok(Some(why))
}

/// The nodes are Ready, and deploying them again finds nothing to do.
fn are_whole(stage: &Stage, names: &[&str]) -> Result<()> {
    for name in names {
        let node = kubectl_json(stage.lab.bootstrap()?, &format!("get node {name}"))?;
        ensure!(condition(&node, "Ready") == Some("True"), "{name} is not Ready: {}", node["status"]);
    }
    let again: Vec<_> = names.iter().map(|name| FleetRun::deploy(stage, name)).collect::<Result<_>>()?;
    for (name, run) in names.iter().zip(again) {
        run.succeeds(PATIENCE)?;
        let changes = run.changes()?;
        ensure!(changes.is_empty(), "something was left to do on {name}: {changes:?}");
    }
    Ok(())
}

/// The machines are bare again afterwards.
fn removed(stage: &Stage, names: &[&str]) -> Result<()> {
    let runs: Vec<_> = names.iter().map(|name| FleetRun::remove(stage, name)).collect::<Result<_>>()?;
    runs.iter().try_for_each(|run| run.succeeds(PATIENCE))?;
    for name in names {
        wait_until(&format!("the agent of {name} to be gone"), PATIENCE, || {
            let there = stage
                .machine(name)
                .and_then(|machine| Ok(machine.run("test -e /usr/bin/metalk8s")?))
                .map_err(|error| format!("{error:#}"))?;
            if there.code == 1 { Ok(()) } else { Err("its program is there".to_owned()) }
        })?;
    }
    Ok(())
}

fn twice(stage: &Stage) -> Result<()> {
    let first = begin(stage, NODE)?;
    let second = FleetRun::deploy(stage, NODE)?;
    second.succeeds(PATIENCE)?;
    first.succeeds(PATIENCE)?;
    let changes = second.changes()?;
    ensure!(changes.is_empty(), "the second has changed something: {changes:?}");
    are_whole(stage, &[NODE])?;
    removed(stage, &[NODE])
}

fn power(stage: &Stage) -> Result<()> {
    let machine = node_machine(stage)?;
    let run = begin(stage, NODE)?;
    run.at("apply")?;
    machine.cut_power()?;
    sleep(OFF);
    machine.start()?;
    machine.wait_booted()?;
    stage.note(match ends(stage, &run)? {
        None => "by itself".to_owned(),
        Some(why) => format!("when told to go on: {why}"),
    });
    are_whole(stage, &[NODE])?;
    removed(stage, &[NODE])
}

/// The plugins of CNI are installed there.
fn disk(stage: &Stage) -> Result<()> {
    let machine = node_machine(stage)?;
    machine.run_checked("mkdir -p /opt && mount -t tmpfs -o size=8M tmpfs /opt")?;
    let run = begin(stage, NODE)?;
    ensure!(!run.end(PATIENCE)?, "it ended well on 8 MiB");
    let told = run.status()?.to_string().to_lowercase();
    ensure!(told.contains("no space left"), "it does not tell: {told}");
    machine.run_checked("umount /opt")?;
    let command = format!("metalk8s run resume {}", run.id());
    let output = stage.lab.bootstrap()?.run_for(&command, PATIENCE)?;
    ensure!(output.success(), "{}", said(&output));
    are_whole(stage, &[NODE])?;
    removed(stage, &[NODE])
}
