//! Several machines are deployed at once, and killed where chance wants it.

use std::{
    fmt,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{PATIENCE, are_whole, begin, ends, removed};
use crate::suite::{Stage, chance::Chance};

/// The machines that are deployed at once. Most of the time of a deployment that was killed is waited for the
/// conductor's container, so that more of them take hardly longer.
pub(super) const NODES: [&str; 3] = ["node1", "node2", "node3"];
/// How many deployments are killed, unless it is said otherwise.
const ROUNDS: u64 = 9;

/// What is killed without asking.
#[derive(Debug, Clone, Copy)]
enum Victim {
    /// Of all deployments at once.
    Conductor,
    /// All of ours on a machine: what was called over SSH, the agent, and its jobs.
    Machine(&'static str),
}

impl Victim {
    /// That nothing of it runs at that moment is a moment, too.
    fn kill(self, stage: &Stage) -> Result<()> {
        let (machine, command) = match self {
            Self::Conductor => (stage.lab.bootstrap()?, "metalk8s conductor"),
            Self::Machine(name) => (stage.machine(name)?, "[^ ]*metalk8s[^ ]* (join|agent|job)"),
        };
        machine.run(&format!("pkill --signal KILL --full '^{command}'")).map(drop)?;
        Ok(())
    }
}

/// What is killed, and how long after the first deployment was begun; not before the last was.
#[derive(Debug, Clone, Copy)]
struct Kill {
    after: Duration,
    victim: Victim,
}

impl fmt::Display for Kill {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} after {:.1} s", self.victim, self.after.as_secs_f64())
    }
}

/// The kills of one round in the order of their moments: by turns the conductor, each machine, or both.
fn kills(round: u64, nodes: &[&'static str], whole: Duration, chance: &mut Chance) -> Vec<Kill> {
    let machines = nodes.iter().copied().map(Victim::Machine);
    let victims: Vec<Victim> = match round % 3 {
        0 => vec![Victim::Conductor],
        1 => machines.collect(),
        _ => [Victim::Conductor].into_iter().chain(machines).collect(),
    };
    let kill = |victim| Kill { after: whole.mul_f64(chance.fraction()), victim };
    let mut kills: Vec<_> = victims.into_iter().map(kill).collect();
    kills.sort_by_key(|kill| kill.after);
    kills
}

pub(super) fn at_random_moments(stage: &Stage) -> Result<()> {
    let deployments = stage.options.rounds.unwrap_or(ROUNDS);
    let mut chance = Chance::new(stage.options.seed);
    let began = Instant::now();
    let undisturbed = NODES.iter().map(|node| begin(stage, node)).collect::<Result<Vec<_>>>()?;
    undisturbed.iter().try_for_each(|run| run.succeeds(PATIENCE))?;
    let whole = began.elapsed();
    are_whole(stage, &NODES)?;
    removed(stage, &NODES)?;
    let (mut done, mut killed, mut stopped) = (0, 0, Vec::new());
    for round in 0.. {
        let nodes = &NODES[..NODES.len().min((deployments - done) as usize)];
        if nodes.is_empty() {
            break;
        }
        let kills = kills(round, nodes, whole, &mut chance);
        let about = || {
            let kills: Vec<_> = kills.iter().map(ToString::to_string).collect();
            format!("round {round}: {}", kills.join(", "))
        };
        stopped.extend(end_well(stage, nodes, &kills).with_context(about)?);
        done += nodes.len() as u64;
        killed += kills.len();
    }
    let by_themselves = done - stopped.len() as u64;
    stage.note(format!(
        "{killed} kills in {done} deployments, of which {by_themselves} went on by themselves"
    ));
    stopped.sort();
    stopped.dedup();
    stopped.into_iter().for_each(|why| stage.note(format!("the others when told to: {why}")));
    Ok(())
}

/// Deploys these, kills, and makes their machines bare again; returns why some had to be told to go on.
fn end_well(stage: &Stage, nodes: &[&str], kills: &[Kill]) -> Result<Vec<String>> {
    let began = Instant::now();
    let runs = nodes.iter().map(|node| begin(stage, node)).collect::<Result<Vec<_>>>()?;
    for kill in kills {
        sleep(kill.after.saturating_sub(began.elapsed()));
        kill.victim.kill(stage)?;
    }
    let mut stopped = Vec::new();
    for run in &runs {
        stopped.extend(ends(stage, run)?);
    }
    are_whole(stage, nodes)?;
    removed(stage, nodes)?;
    Ok(stopped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_deployment_of_a_round_is_killed_within_the_time_it_takes() {
        let whole = Duration::from_secs(20);
        let mut chance = Chance::new(7);
        let counts: Vec<_> = (0..6)
            .map(|round| {
                let kills = kills(round, &NODES, whole, &mut chance);
                assert!(kills.iter().all(|kill| kill.after < whole), "{kills:?}");
                assert!(kills.is_sorted_by_key(|kill| kill.after), "{kills:?}");
                kills.len()
            })
            .collect();
        assert_eq!(counts, [1, 3, 4, 1, 3, 4]);
    }
}
