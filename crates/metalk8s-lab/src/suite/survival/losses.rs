//! What is taken away.

use std::{thread::sleep, time::Duration};

use anyhow::{Context, Result};

use super::{Machine, Stage, etcd, load::silence_of, machines, whole};
use crate::suite::{chance::Chance, fleet_run::FleetRun};

/// How long a machine is without power: in the sample, and in all of it.
const OFF: Duration = Duration::from_secs(15);
const OFF_LONG: Duration = Duration::from_secs(45);
/// How long a master is cut off.
const CUT_OFF: Duration = Duration::from_secs(120);
/// How often something is killed during a deployment, unless it is said otherwise.
const ROUNDS: u64 = 1;
/// A deployment that changes nothing takes about that long.
const DEPLOYMENT_SECONDS: f64 = 2.0;

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

/// All at once, at a moment that chance gives; nobody does anything about it afterwards.
pub(super) fn deployment(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    let rounds = stage.options.rounds.unwrap_or(ROUNDS);
    let mut chance = Chance::new(stage.options.seed);
    for round in 0..rounds {
        let run = FleetRun::deploy(stage, "node1")?;
        sleep(Duration::from_secs_f64(chance.fraction() * DEPLOYMENT_SECONDS));
        for machine in machines(stage)? {
            kill(machine, "[^ ]*metalk8s agent")?;
        }
        kill(bootstrap, "metalk8s conductor")?;
        run.succeeds(Duration::from_secs(180)).with_context(|| format!("round {round}"))?;
    }
    stage.note(format!("{rounds} times"));
    whole(stage)
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
