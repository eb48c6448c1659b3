//! Deployments of a bare machine that are killed, lose their power or their space, and end well all the same.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use metalk8s_diagnostics::Printer;

use super::{
    Check, Options, Stage, Suite, Tally,
    chance::Chance,
    cluster::{condition, kubectl_json, said},
    expand::{NODE, apply, manifest, node_machine},
    fleet_run::FleetRun,
    run_checks,
};
use crate::{Lab, Machine, wait_until};

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
/// How often a deployment is killed, unless it is said otherwise.
const ROUNDS: u64 = 3;

const CHECKS: &[Check] = &[
    Check { name: "a deployment that is killed at a random moment ends well", run: killed },
    Check { name: "two deployments of a node at once come one after the other", run: twice },
    Check { name: "a machine loses its power in the middle, and becomes a node all the same", run: power },
    Check { name: "a disk that fills up is told, and with more space the same run goes on", run: disk },
    Check { name: "nothing has tried to leave the lab", run: super::install::nothing_leaves },
];

fn run(options: &Options, printer: &mut Printer) -> Result<Tally> {
    printer.data(&format!("seed {0}: --seed {0} kills at the same moments", options.seed));
    let lab = super::bootstrapped(options, SUITE.name, 2)?;
    Ok(run_checks(CHECKS, &Stage::new(Lab::clone(&lab), options.archive.clone(), options), printer))
}

/// What is killed.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Conductor,
    /// All of ours on the machine: what was called over SSH, the agent, and its jobs.
    Machine,
    Both,
}

impl Victim {
    fn of_round(round: u64) -> Self {
        [Self::Conductor, Self::Machine, Self::Both][(round % 3) as usize]
    }

    /// Without asking. That nothing of it runs at that moment is a moment, too.
    fn kill(self, stage: &Stage) -> Result<()> {
        let kill = |machine: &Machine, command: &str| {
            machine.run(&format!("pkill --signal KILL --full '^{command}'")).map(drop)
        };
        if matches!(self, Self::Conductor | Self::Both) {
            kill(stage.lab.bootstrap()?, "metalk8s conductor")?;
        }
        if matches!(self, Self::Machine | Self::Both) {
            kill(node_machine(stage)?, "[^ ]*metalk8s[^ ]* (join|agent|job)")?;
        }
        Ok(())
    }
}

/// Begins the deployment of the machine as it is.
fn begin(stage: &Stage) -> Result<FleetRun<'_>> {
    apply(stage, &manifest(stage, NODE, &node_machine(stage)?.control.to_string())?)?;
    FleetRun::deploy(stage, NODE)
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

/// The node is Ready, and deploying it again finds nothing to do.
fn is_whole(stage: &Stage) -> Result<()> {
    let node = kubectl_json(stage.lab.bootstrap()?, &format!("get node {NODE}"))?;
    ensure!(condition(&node, "Ready") == Some("True"), "the node is not Ready: {}", node["status"]);
    let again = FleetRun::deploy(stage, NODE)?;
    again.succeeds(PATIENCE)?;
    let changes = again.changes()?;
    ensure!(changes.is_empty(), "something was left to do: {changes:?}");
    Ok(())
}

/// The machine is bare again afterwards.
fn removed(stage: &Stage) -> Result<()> {
    let command = format!("metalk8s node remove {NODE} --yes --no-progress");
    let output = stage.lab.bootstrap()?.run_for(&command, PATIENCE)?;
    ensure!(output.success(), "{}", said(&output));
    wait_until("the agent to be gone", PATIENCE, || {
        let there = node_machine(stage).and_then(|machine| Ok(machine.run("test -e /usr/bin/metalk8s")?));
        match there {
            Ok(output) if output.code == 1 => Ok(()),
            Ok(_) => Err("its program is there".to_owned()),
            Err(error) => Err(format!("{error:#}")),
        }
    })?;
    Ok(())
}

fn killed(stage: &Stage) -> Result<()> {
    let rounds = stage.options.rounds.unwrap_or(ROUNDS);
    let mut chance = Chance::new(stage.options.seed);
    let began = Instant::now();
    begin(stage)?.succeeds(PATIENCE)?;
    let whole = began.elapsed();
    is_whole(stage)?;
    removed(stage)?;
    let mut stopped = Vec::new();
    for round in 0..rounds {
        let (after, victim) = (whole.mul_f64(chance.fraction()), Victim::of_round(round));
        let about = || format!("round {round}: {victim:?} after {:.1} s", after.as_secs_f64());
        let run = begin(stage).with_context(about)?;
        sleep(after);
        victim.kill(stage).with_context(about)?;
        stopped.extend(ends(stage, &run).with_context(about)?);
        is_whole(stage).with_context(about)?;
        removed(stage).with_context(about)?;
    }
    let by_themselves = rounds - stopped.len() as u64;
    stage.note(format!("{by_themselves} of {rounds} by themselves, the others when told to go on"));
    stopped.sort();
    stopped.dedup();
    stopped.into_iter().for_each(|why| stage.note(why));
    Ok(())
}

fn twice(stage: &Stage) -> Result<()> {
    let first = begin(stage)?;
    let second = FleetRun::deploy(stage, NODE)?;
    second.succeeds(PATIENCE)?;
    first.succeeds(PATIENCE)?;
    let changes = second.changes()?;
    ensure!(changes.is_empty(), "the second has changed something: {changes:?}");
    is_whole(stage)?;
    removed(stage)
}

fn power(stage: &Stage) -> Result<()> {
    let machine = node_machine(stage)?;
    let run = begin(stage)?;
    run.at("apply")?;
    machine.cut_power()?;
    sleep(OFF);
    machine.start()?;
    machine.wait_booted()?;
    stage.note(match ends(stage, &run)? {
        None => "by itself".to_owned(),
        Some(why) => format!("when told to go on: {why}"),
    });
    is_whole(stage)?;
    removed(stage)
}

/// The plugins of CNI are installed there.
fn disk(stage: &Stage) -> Result<()> {
    let machine = node_machine(stage)?;
    machine.run_checked("mkdir -p /opt && mount -t tmpfs -o size=8M tmpfs /opt")?;
    let run = begin(stage)?;
    ensure!(!run.end(PATIENCE)?, "it ended well on 8 MiB");
    let told = run.status()?.to_string().to_lowercase();
    ensure!(told.contains("no space left"), "it does not tell: {told}");
    machine.run_checked("umount /opt")?;
    let command = format!("metalk8s run resume {}", run.id());
    let output = stage.lab.bootstrap()?.run_for(&command, PATIENCE)?;
    ensure!(output.success(), "{}", said(&output));
    is_whole(stage)?;
    removed(stage)
}
