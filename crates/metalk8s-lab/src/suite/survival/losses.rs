//! What is taken away.

use std::{thread::sleep, time::Duration};

use anyhow::{Context, Result, ensure};
use metalk8s_types::Role;

use super::{Machine, Stage, etcd, kubectl, load::silence_of, machines, whole};
use crate::suite::{chance::Chance, fleet_run::FleetRun, interrupted::kills::step_of};

/// How long a machine is without power: in the sample, and in all of it.
const OFF: Duration = Duration::from_secs(15);
const OFF_LONG: Duration = Duration::from_secs(45);
/// How long a master is cut off.
const CUT_OFF: Duration = Duration::from_secs(120);
/// How often something is killed during a deployment, unless it is said otherwise.
const ROUNDS: usize = 1;
/// The deployment of a node with changed roles takes at least about that long.
const DEPLOYMENT_SECONDS: f64 = 4.0;
/// How long it may take with all that is killed.
const DEPLOYMENT: Duration = Duration::from_secs(240);
/// So many deployments in a row may be over before anything is killed.
const IN_VAIN: usize = 5;

/// Ends processes whose command line begins so, without asking. One that was killed a moment ago may not be back yet:
/// that is waited for.
pub(super) fn kill(machine: &Machine, command: &str) -> Result<()> {
    machine.run_checked(&format!(
        "timeout 30 sh -c \"until pkill --signal KILL --full '^{command}'; do sleep 0.1; done\""
    ))?;
    Ok(())
}

pub(super) fn leader(stage: &Stage) -> Result<()> {
    let times = if stage.options.full { 2 } else { 1 };
    for _ in 0..times {
        let leader = etcd::leader(stage)?;
        silence_of(stage, &leader.name, || kill(leader, "etcd "))?;
        whole(stage)?;
    }
    Ok(())
}

pub(super) fn api_servers(stage: &Stage) -> Result<()> {
    for machine in machines(stage)? {
        silence_of(stage, &machine.name, || kill(machine, "kube-apiserver "))?;
        whole(stage)?;
    }
    Ok(())
}

/// All at once, at a moment that chance gives; nobody does anything about it afterwards. The node gives a role away, or
/// is given it back, so that it is closed, emptied, looked at and opened.
pub(super) fn deployment(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    let rounds = stage.options.rounds.map_or(ROUNDS, |rounds| rounds as usize);
    let mut chance = Chance::new(stage.options.seed);
    let (mut steps, mut in_vain, mut has_role) = (Vec::new(), 0, true);
    while steps.len() < rounds {
        has_role = !has_role;
        let run = begin_with(stage, has_role)?;
        sleep(Duration::from_secs_f64(chance.fraction() * DEPLOYMENT_SECONDS));
        let step = step_of(&run.status()?);
        for machine in machines(stage)? {
            kill(machine, "[^ ]*metalk8s agent")?;
        }
        kill(bootstrap, "metalk8s conductor")?;
        let has_ended = run.status()?["phase"] == "Succeeded";
        run.succeeds(DEPLOYMENT).with_context(|| format!("round {}", steps.len()))?;
        match step.filter(|_| !has_ended) {
            Some(step) => {
                in_vain = 0;
                steps.push(step);
            }
            None => in_vain += 1,
        }
        ensure!(in_vain < IN_VAIN, "{in_vain} deployments were not under way when something was killed");
    }
    stage.note(format!("{rounds} times, at the steps {}", steps.join(", ")));
    if !has_role {
        begin_with(stage, true)?.succeeds(DEPLOYMENT)?;
    }
    whole(stage)
}

/// Begins the deployment of a master that shall have the role `infra`, or shall not.
fn begin_with(stage: &Stage, has_role: bool) -> Result<FleetRun<'_>> {
    let wish = if has_role { "=" } else { "-" };
    kubectl(stage.lab.bootstrap()?, &format!("label node node1 {}{wish}", Role::Infra.key()))?;
    FleetRun::deploy(stage, "node1")
}

pub(super) fn master(stage: &Stage) -> Result<()> {
    off_and_on(stage, stage.machine("node1")?)
}

pub(super) fn bootstrap(stage: &Stage) -> Result<()> {
    off_and_on(stage, stage.lab.bootstrap()?)
}

fn off_and_on(stage: &Stage, machine: &Machine) -> Result<()> {
    silence_of(stage, "its power", || {
        machine.cut_power()?;
        sleep(off(stage));
        Ok(())
    })?;
    silence_of(stage, "its return", || Ok(machine.start()?))?;
    whole(stage)
}

/// A machine is off for a while, and does not wait until all is well again.
pub(super) fn lose_power(stage: &Stage, machine: &Machine) -> Result<()> {
    machine.cut_power()?;
    sleep(off(stage));
    Ok(machine.start()?)
}

fn off(stage: &Stage) -> Duration {
    if stage.options.full { OFF_LONG } else { OFF }
}

/// The one that leads, so that the others must choose another.
pub(super) fn partition(stage: &Stage) -> Result<()> {
    // The writer's own machine would be cut off from its writes.
    let mut cut_off = etcd::leader(stage)?;
    if cut_off.name == super::WRITER {
        cut_off = stage.machine("node1")?;
    }
    let others = machines(stage)?.into_iter().filter(|other| other.name != cut_off.name);
    let addresses: Vec<String> =
        others.flat_map(|other| [other.control.to_string(), other.workload.to_string()]).collect();
    let rules = format!(
        "table inet cut_off {{\n chain in {{ type filter hook input priority -300; ip saddr {{ {0} }} drop; }}\n \
         chain out {{ type filter hook output priority -300; ip daddr {{ {0} }} drop; }}\n}}\n",
        addresses.join(", ")
    );
    cut_off.write("/root/cut_off.nft", rules.as_bytes(), 0o644)?;
    silence_of(stage, &format!("{} for {} s", cut_off.name, CUT_OFF.as_secs()), || {
        cut_off.run_checked("nft --file /root/cut_off.nft")?;
        sleep(CUT_OFF);
        Ok(())
    })?;
    silence_of(stage, "its return", || {
        cut_off.run_checked("nft delete table inet cut_off")?;
        Ok(())
    })?;
    whole(stage)
}
