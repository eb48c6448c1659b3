//! `kill -9` of the bootstrap.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use metalk8s_types::paths;
use serde_json::Value;

use super::{PACE, bare_machine, finishes};
use crate::{
    machine::Machine,
    suite::{Stage, chance::Chance, cluster::archive_folder},
};

/// How often it is killed at random, unless it is said otherwise.
const ROUNDS: u64 = 1;
/// So often the machine is made bare again, or only the last steps would be met.
const ROUNDS_FROM_NOTHING: u64 = 2;
/// How much sooner it is killed after a run from nothing that had ended, and how many runs more than kills may have.
const SOONER: f64 = 0.7;
const MOST_LATE: u64 = 6;
/// At so many lines it is killed for each of the rounds.
const LINES_PER_ROUND: u64 = 6;
/// So many lines of the journal are met each by itself, on a machine on which nothing was interrupted before.
const FROM_NOTHING: u64 = 8;
/// A bootstrap that is killed more often goes in circles.
const MOST_KILLS: u64 = 1000;
const DEADLINE: Duration = Duration::from_secs(1800);
const SCRIPT: &str = "/root/kill-bootstrap";

/// Starts a command and kills it: after some seconds, or once its journal holds so many lines that were not there
/// in a run before. The same line of two runs differs in nothing but its time, which is at its end.
const KILLER: &str = r#"#!/bin/bash
# usage: kill-bootstrap after SECONDS COMMAND | kill-bootstrap at-line EVERY COMMAND
how=$1 number=$2
shift 2
known=/root/killed-at
touch "$known"
"$@" > /root/killed-output 2>&1 < /dev/null &
process=$!
end() {
    kill -KILL "$process" 2> /dev/null && what=killed || what=ended
    wait "$process" 2> /dev/null
    code=$?
    # It may have ended in the very moment.
    (( code == 137 )) || what="ended with $code"
    echo "$what"
    exit
}
if [[ $how == after ]]; then
    sleep "$number"
    end
fi
declare -A seen
while read -r line; do seen[$line]=1; done < "$known"
new=0 read=0 journal=
while kill -0 "$process" 2> /dev/null; do
    files=(/var/lib/metalk8s/runs/*.jsonl)
    [[ -f ${files[-1]} ]] && journal=${files[-1]}
    if [[ -n $journal ]]; then
        mapfile -t -s "$read" lines < "$journal"
        for line in "${lines[@]}"; do
            read=$((read + 1))
            [[ $line == *'"at":'* ]] || continue
            line=${line%\"at\":*}
            line=${line//[^a-zA-Z0-9]/_}
            [[ -z ${seen[$line]:-} ]] || continue
            seen[$line]=1
            echo "$line" >> "$known"
            new=$((new + 1))
            (( new < number )) || end
        done
    fi
    sleep 0.002
done
wait "$process"
echo "ended with $?"
"#;

/// How an undisturbed run went, from which it is known when and where others can be met.
#[derive(Debug)]
pub(super) struct Pace {
    took: Duration,
    /// Of its journal.
    lines: u64,
    /// The names of its stages, in order.
    stages: Vec<String>,
}

impl Pace {
    /// By the time that a run took and by its journal.
    pub(super) fn of(took: Duration, journal: &str) -> Self {
        let first: Value = journal.lines().next().and_then(read).unwrap_or_default();
        let names = first["steps"].as_array().into_iter().flatten();
        let stages = names.filter_map(Value::as_str).map(str::to_owned).collect();
        Self { took, lines: journal.lines().count() as u64, stages }
    }

    fn get() -> Result<&'static Self> {
        PACE.get().context("there is no undisturbed run to go by")
    }

    /// How often each stage was met, those too that never were.
    fn spread(&self, met: &[String]) -> String {
        let named = [BEFORE].into_iter().chain(self.stages.iter().map(String::as_str)).chain([AFTER]);
        let counted = named.map(|name| format!("{name} {}", met.iter().filter(|met| *met == name).count()));
        counted.collect::<Vec<_>>().join(", ")
    }
}

/// Instead of the name of a stage, for a run that has written nothing yet, or has ended.
const BEFORE: &str = "before its journal";
const AFTER: &str = "after its end";

/// The newest journal of the machine; empty where there is none.
pub(super) fn journal(machine: &Machine) -> Result<String> {
    // Names of runs are moments.
    let newest = format!("find {} -name '*.jsonl' | sort | tail -n 1", paths::RUNS);
    Ok(machine.run_checked(&format!("test ! -d {0} || cat $({newest}) < /dev/null", paths::RUNS))?)
}

fn read(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok()
}

/// The stage in which a run was met that found the journal `former` and left `journal`.
fn stage_met(former: &str, journal: &str) -> String {
    let goes_on = former.lines().next() == journal.lines().next();
    if goes_on && journal.lines().count() <= former.lines().count() {
        return BEFORE.to_owned();
    }
    // The last line may be torn.
    let record = journal.lines().rev().filter_map(read).find(|record| record["record"] == "step_started");
    record.and_then(|record| Some(record["step"].as_str()?.to_owned())).unwrap_or_else(|| BEFORE.to_owned())
}

pub(super) fn at_random_moments(stage: &Stage) -> Result<()> {
    let rounds = stage.options.rounds.unwrap_or(ROUNDS);
    let pace = Pace::get()?;
    let mut chance = Chance::new(stage.options.seed);
    let mut met = Vec::new();
    let (mut killed, mut late) = (0, 0);
    // The undisturbed run may have had a slower computer than these have.
    let mut within = pace.took;
    while killed < rounds {
        let machine = bare_machine(stage)?;
        machine.write(SCRIPT, KILLER.as_bytes(), 0o755)?;
        let mut moments = Vec::new();
        let mut former = journal(machine)?;
        for _ in 0..ROUNDS_FROM_NOTHING.min(rounds - killed) {
            let moment = within.mul_f64(chance.fraction()).as_secs_f64();
            moments.push(format!("{moment:.2} s"));
            match killer(machine, "after", &format!("{moment:.3}"))?.as_str() {
                "killed" => {
                    killed += 1;
                    let journal = journal(machine)?;
                    met.push(stage_met(&former, &journal));
                    former = journal;
                }
                "ended with 0" => {
                    met.push(AFTER.to_owned());
                    late += 1;
                    // One that went on after a kill had less to do, which says nothing about the others.
                    if moments.len() == 1 {
                        within = within.mul_f64(SOONER);
                    }
                    ensure!(late <= rounds + MOST_LATE, "it ends before it is killed, time and again");
                    break;
                }
                other => anyhow::bail!(
                    "before it was killed after {}: {other}: {}",
                    moments.join(", "),
                    last_words(machine)
                ),
            }
        }
        finishes_without_traces(stage)
            .with_context(|| format!("killed after {}", moments.join(", then ")))?;
    }
    stage.note(format!("{killed} kills within {:.1} s, {late} came too late", within.as_secs_f64()));
    stage.note(format!("met: {}", pace.spread(&met)));
    Ok(())
}

pub(super) fn at_journal_lines(stage: &Stage) -> Result<()> {
    let machine = bare_machine(stage)?;
    machine.write(SCRIPT, KILLER.as_bytes(), 0o755)?;
    let rounds = stage.options.rounds.unwrap_or(ROUNDS);
    let kills = rounds * LINES_PER_ROUND;
    // About as many lines as states; the last stages have few.
    let every = if stage.options.full { 1 } else { (Pace::get()?.lines / kills.max(1)).max(1) };
    let mut killed = 0;
    loop {
        match killer(machine, "at-line", &every.to_string())?.as_str() {
            "killed" => killed += 1,
            "ended with 0" => break,
            other => anyhow::bail!("after {killed} kills: {other}: {}", last_words(machine)),
        }
        ensure!(killed < MOST_KILLS, "it does not come to an end");
    }
    stage.note(format!("{killed} kills, at every line {every}"));
    ensure!(killed > 0, "it was never killed");
    finishes_without_traces(stage)
}

pub(super) fn once_from_nothing(stage: &Stage) -> Result<()> {
    let pace = Pace::get()?;
    let mut met = Vec::new();
    for line in spread_over(pace.lines, FROM_NOTHING) {
        let machine = bare_machine(stage)?;
        machine.write(SCRIPT, KILLER.as_bytes(), 0o755)?;
        let end = killer(machine, "at-line", &line.to_string())?;
        ensure!(end == "killed", "at line {line} of {}: {end}: {}", pace.lines, last_words(machine));
        let journal = journal(machine)?;
        met.push(format!("{} in {}", journal.lines().count(), stage_met("", &journal)));
        finishes_without_traces(stage).with_context(|| format!("killed at line {line} of {}", pace.lines))?;
    }
    stage.note(format!("of {} lines met: {}", pace.lines, met.join(", ")));
    Ok(())
}

/// The middles of so many equal parts of this many lines, which are counted from 1.
fn spread_over(lines: u64, parts: u64) -> impl Iterator<Item = u64> {
    (0..parts).map(move |part| (lines * (2 * part + 1) / (2 * parts)).max(1))
}

fn killer(machine: &Machine, how: &str, number: &str) -> Result<String> {
    let folder = archive_folder(machine)?;
    let output = machine.run_for(&format!("{SCRIPT} {how} {number} {folder}/bootstrap.sh"), DEADLINE)?;
    ensure!(output.success(), "the killer ended with {}: {}", output.code, output.stderr);
    Ok(output.stdout.trim().to_owned())
}

fn last_words(machine: &Machine) -> String {
    machine.run_checked("tail -n 25 /root/killed-output").unwrap_or_else(|error| error.to_string())
}

fn finishes_without_traces(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    // The script is written again for each bare machine.
    machine.run_checked(&format!("rm -f {SCRIPT} /root/killed-at /root/killed-output"))?;
    finishes(stage)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOURNAL: &str = r#"{"record":"run","steps":["packages","pki"],"at":"1"}
{"record":"step_started","step":"packages","at":"2"}
{"record":"step_finished","step":"packages","at":"3"}
{"record":"step_started","step":"pki","at":"4"}
{"record":"changing","state":"a key","at":"5"}"#;

    #[test]
    fn a_run_is_met_in_the_stage_that_began_last() {
        assert_eq!(stage_met("", JOURNAL), "pki");
        assert_eq!(stage_met("", &format!("{JOURNAL}\n{{\"record\":\"step_sta")), "pki");
        let two: String = JOURNAL.split_inclusive('\n').take(3).collect();
        assert_eq!(stage_met("", &two), "packages");
        let one: String = JOURNAL.split_inclusive('\n').take(1).collect();
        for (former, journal) in [("", ""), ("", &*one), (JOURNAL, JOURNAL)] {
            assert_eq!(stage_met(former, journal), BEFORE);
        }
        let ended = JOURNAL.replace(r#""at":"1""#, r#""at":"0""#);
        assert_eq!(stage_met(&ended, &two), "packages", "a run after one that has ended");
    }

    #[test]
    fn stages_that_were_never_met_are_told_too() {
        let pace = Pace::of(Duration::from_secs(40), JOURNAL);
        assert_eq!(pace.lines, 5);
        let met = ["pki", BEFORE, "pki", AFTER].map(str::to_owned);
        assert_eq!(pace.spread(&met), "before its journal 1, packages 0, pki 2, after its end 1");
    }

    #[test]
    fn positions_are_spread_over_the_whole_journal_and_never_beyond_it() {
        assert_eq!(spread_over(160, 8).collect::<Vec<_>>(), [10, 30, 50, 70, 90, 110, 130, 150]);
        assert!(spread_over(3, 8).all(|line| (1..=3).contains(&line)));
    }
}
