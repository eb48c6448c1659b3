//! Machines are deployed and something is killed where chance wants it, until so many kills have hit.

use std::{
    collections::BTreeMap,
    fmt, panic,
    thread::{self, sleep},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{are_whole, begin, ends, removed};
use crate::{
    Machine,
    suite::{Stage, chance::Chance, cluster::kubectl_json},
};

/// The machines that are deployed at once. Most of the time of a deployment that was killed is waited for the
/// conductor's container, so that more of them take hardly longer.
pub(super) const NODES: [&str; 3] = ["node1", "node2", "node3"];
/// How many kills shall hit, unless it is said otherwise.
const KILLS: u64 = 12;
/// After so many rounds in which nothing was hit, something else is wrong.
const IN_VAIN: u64 = 5;

/// What is killed without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    /// Of all deployments at once.
    Conductor,
    /// The agent of the node; its jobs go on.
    Agent,
    /// What the agent was asked for.
    Job,
    /// What was called over SSH, before there is an agent.
    Join,
}

impl Victim {
    const ALL: [Self; 4] = [Self::Conductor, Self::Agent, Self::Job, Self::Join];

    /// How its command line begins.
    fn command(self) -> &'static str {
        match self {
            Self::Conductor => "metalk8s conductor",
            Self::Agent => "[^ ]*metalk8s[^ ]* agent",
            Self::Job => "[^ ]*metalk8s[^ ]* job",
            Self::Join => "[^ ]*metalk8s[^ ]* join",
        }
    }

    /// About how long it is there in the deployment of one machine, the conductor from its beginning.
    fn life(self) -> Duration {
        Duration::from_secs(match self {
            Self::Conductor => 12,
            Self::Agent => 7,
            Self::Job => 5,
            Self::Join => 2,
        })
    }

    /// How many of all kills are its own.
    fn share(self, wanted: u64) -> u64 {
        let count = Self::ALL.len() as u64;
        wanted / count + u64::from((self as u64) < wanted % count)
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Conductor => "conductor",
            Self::Agent => "agent",
            Self::Job => "job of the agent",
            Self::Join => "call over SSH",
        })
    }
}

/// What is killed, in which deployment, and how long after it was there.
#[derive(Debug, Clone, Copy)]
struct Kill {
    victim: Victim,
    node: &'static str,
    after: Duration,
}

impl Kill {
    /// Tells at which step of its run it hit: the process was there, and the run was not over. Where it did not,
    /// `None`.
    fn strike(self, machine: &Machine, bootstrap: &Machine, run: &str) -> Result<Option<String>> {
        let command = self.victim.command();
        let there = machine.run(&format!(
            "timeout 60 sh -c \"until pgrep --full '^{command}' > /dev/null; do sleep 0.05; done\""
        ))?;
        if !there.success() {
            return Ok(None);
        }
        sleep(self.after);
        let status = || kubectl_json(bootstrap, &format!("get run {run} -n metalk8s-fleet"));
        let Some(step) = step_of(&status()?["status"]) else { return Ok(None) };
        let killed = machine.run(&format!("pkill --signal KILL --full '^{command}'"))?.success();
        let has_ended = status()?["status"]["phase"] == "Succeeded";
        Ok((killed && !has_ended).then_some(step))
    }
}

impl fmt::Display for Kill {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} of {} after {:.1} s", self.victim, self.node, self.after.as_secs_f64())
    }
}

/// How often each was hit at which step.
#[derive(Debug, Default)]
struct Hits(BTreeMap<Victim, BTreeMap<String, u64>>);

impl Hits {
    fn add(&mut self, victim: Victim, step: String) {
        *self.0.entry(victim).or_default().entry(step).or_default() += 1;
    }

    fn of(&self, victim: Victim) -> u64 {
        self.0.get(&victim).map_or(0, |steps| steps.values().sum())
    }

    fn count(&self) -> u64 {
        Victim::ALL.iter().map(|victim| self.of(*victim)).sum()
    }

    /// A line for each of which something was hit.
    fn lines(&self) -> Vec<String> {
        let line = |(victim, steps): (&Victim, &BTreeMap<String, u64>)| {
            let steps: Vec<_> = steps.iter().map(|(step, count)| format!("{step} {count}")).collect();
            format!("{victim} {}: {}", self.of(*victim), steps.join(", "))
        };
        self.0.iter().map(line).collect()
    }
}

/// At which step a run is, if it is under way.
pub(in crate::suite) fn step_of(status: &Value) -> Option<String> {
    if status["phase"] != "Running" {
        return None;
    }
    let steps = status["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let step = steps.iter().find(|step| step["state"] == "Running").or(steps.last());
    Some(step.and_then(|step| step["name"].as_str()).unwrap_or("begin").to_owned())
}

/// The kills of a round: one of each that was not hit often enough yet.
fn kills(hits: &Hits, wanted: u64, nodes: &[&'static str], chance: &mut Chance) -> Vec<Kill> {
    // On the same processors.
    let slower = (1.0 + nodes.len() as f64) / 2.0;
    let missing = Victim::ALL.into_iter().filter(|victim| hits.of(*victim) < victim.share(wanted));
    missing
        .map(|victim| Kill {
            victim,
            node: nodes[(chance.fraction() * nodes.len() as f64) as usize],
            after: victim.life().mul_f64(slower * chance.fraction()),
        })
        .collect()
}

pub(super) fn at_random_moments(stage: &Stage) -> Result<()> {
    until_hit(stage, &NODES, stage.options.rounds.unwrap_or(KILLS))?;
    removed(stage, &NODES)
}

/// Deploys these bare machines and kills meanwhile, again and again until so many kills have hit, evenly of each
/// kind. Every deployment ends well, and the machines are nodes afterwards.
pub(in crate::suite) fn until_hit(stage: &Stage, nodes: &[&'static str], wanted: u64) -> Result<()> {
    let mut chance = Chance::new(stage.options.seed);
    let mut hits = Hits::default();
    let (mut deployments, mut missed, mut in_vain, mut stopped) = (0, 0, 0, Vec::new());
    while hits.count() < wanted {
        if deployments > 0 {
            removed(stage, nodes)?;
        }
        let kills = kills(&hits, wanted, nodes, &mut chance);
        let about = || kills.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (struck, told) = end_well(stage, nodes, &kills).with_context(about)?;
        deployments += nodes.len();
        stopped.extend(told);
        let before = hits.count();
        for (kill, step) in kills.iter().zip(struck) {
            match step {
                Some(step) => hits.add(kill.victim, step),
                None => missed += 1,
            }
        }
        in_vain = if hits.count() == before { in_vain + 1 } else { 0 };
        let (count, tried) = (hits.count(), about());
        ensure!(
            in_vain < IN_VAIN,
            "{count} of {wanted} kills have hit, and none of the last, such as {tried}"
        );
    }
    stage.note(format!(
        "{} kills hit in {deployments} deployments, {missed} found nothing to kill; {} went on by themselves",
        hits.count(),
        deployments - stopped.len()
    ));
    hits.lines().into_iter().for_each(|line| stage.note(line));
    stopped.sort();
    stopped.dedup();
    stopped.into_iter().for_each(|why| stage.note(format!("the others when told to: {why}")));
    Ok(())
}

/// Deploys these and kills; returns where each kill hit, and why some deployments had to be told to go on.
fn end_well(stage: &Stage, nodes: &[&str], kills: &[Kill]) -> Result<(Vec<Option<String>>, Vec<String>)> {
    let bootstrap = stage.lab.bootstrap()?;
    let runs = nodes.iter().map(|node| begin(stage, node)).collect::<Result<Vec<_>>>()?;
    let mut aims = Vec::new();
    for kill in kills {
        let machine = match kill.victim {
            Victim::Conductor => bootstrap,
            Victim::Agent | Victim::Job | Victim::Join => stage.machine(kill.node)?,
        };
        let run = nodes.iter().zip(&runs).find(|(node, _)| **node == kill.node);
        aims.push((*kill, machine, run.context("it is not deployed")?.1.id()));
    }
    // Each waits by itself for what it kills.
    let struck = thread::scope(|scope| {
        let threads: Vec<_> = aims
            .into_iter()
            .map(|(kill, machine, run)| scope.spawn(move || kill.strike(machine, bootstrap, run)))
            .collect();
        let results =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|why| panic::resume_unwind(why)));
        results.collect::<Result<Vec<_>>>()
    })?;
    let mut stopped = Vec::new();
    for run in &runs {
        stopped.extend(ends(stage, run)?);
    }
    are_whole(stage, nodes)?;
    Ok((struck, stopped))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_kinds_are_hit_evenly_and_only_what_is_missing_is_killed() {
        let shares = |wanted| Victim::ALL.map(|victim| victim.share(wanted));
        assert_eq!(shares(50), [13, 13, 12, 12]);
        assert_eq!(shares(3), [1, 1, 1, 0]);
        let mut chance = Chance::new(7);
        let mut hits = Hits::default();
        hits.add(Victim::Agent, "apply".to_owned());
        let kills = kills(&hits, 3, &NODES, &mut chance);
        assert_eq!(
            kills.iter().map(|kill| kill.victim).collect::<Vec<_>>(),
            [Victim::Conductor, Victim::Job]
        );
        for _ in 0..100 {
            for kill in super::kills(&hits, 50, &NODES[..1], &mut chance) {
                assert!(kill.node == "node1" && kill.after < kill.victim.life(), "{kill}");
            }
        }
    }

    #[test]
    fn hits_are_counted_for_each_victim_and_step() {
        let mut hits = Hits::default();
        for (victim, step) in [(Victim::Job, "apply"), (Victim::Conductor, "vote"), (Victim::Job, "apply")] {
            hits.add(victim, step.to_owned());
        }
        hits.add(Victim::Job, "agent".to_owned());
        assert_eq!(hits.count(), 4);
        assert_eq!(hits.lines(), ["conductor 1: vote 1", "job of the agent 3: agent 1, apply 2"]);
    }

    #[test]
    fn a_run_is_at_the_step_that_runs_or_at_the_last_and_only_while_it_is_under_way() {
        let status = |phase: &str, steps: &[(&str, &str)]| {
            let steps: Vec<_> =
                steps.iter().map(|(name, state)| json!({"name": name, "state": state})).collect();
            step_of(&json!({"phase": phase, "steps": steps}))
        };
        assert_eq!(status("Running", &[("check", "Done"), ("connect", "Running")]).unwrap(), "connect");
        assert_eq!(status("Running", &[("check", "Done")]).unwrap(), "check");
        assert_eq!(status("Running", &[]).unwrap(), "begin");
        for phase in ["Pending", "Succeeded", "Failed", "Cancelled"] {
            assert_eq!(status(phase, &[("apply", "Done")]), None);
        }
    }
}
