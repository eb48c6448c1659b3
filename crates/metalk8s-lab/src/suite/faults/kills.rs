//! `kill -9` of the bootstrap.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{bare_machine, finishes};
use crate::{
    machine::Machine,
    suite::{Stage, chance::Chance, cluster::archive_folder},
};

/// How often it is killed at random, unless it is said otherwise.
const ROUNDS: u64 = 1;
/// So often the machine is made bare again, or only the last steps would be met.
const ROUNDS_FROM_NOTHING: u64 = 2;
/// At so many lines it is killed for each of the rounds.
const LINES_PER_ROUND: u64 = 6;
/// Lines of an undisturbed run's journal, about.
const LINES: u64 = 190;
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

pub(super) fn at_random_moments(stage: &Stage) -> Result<()> {
    let rounds = stage.options.rounds.unwrap_or(ROUNDS);
    let mut chance = Chance::new(stage.options.seed);
    let mut whole = Duration::from_secs(40);
    let mut killed = 0;
    let mut done = 0;
    while done < rounds {
        let machine = bare_machine(stage)?;
        machine.write(SCRIPT, KILLER.as_bytes(), 0o755)?;
        let mut moments = Vec::new();
        for _ in 0..ROUNDS_FROM_NOTHING.min(rounds - done) {
            let moment = whole.mul_f64(chance.fraction()).as_secs_f64();
            moments.push(format!("{moment:.2} s"));
            done += 1;
            match killer(machine, "after", &format!("{moment:.3}"))?.as_str() {
                "killed" => killed += 1,
                "ended with 0" => {}
                other => anyhow::bail!(
                    "before it was killed after {}: {other}: {}",
                    moments.join(", "),
                    last_words(machine)
                ),
            }
        }
        let finishing = Instant::now();
        finishes_without_traces(stage)
            .with_context(|| format!("killed after {}", moments.join(", then ")))?;
        // The next moments lie within what a run takes on this computer today.
        whole = whole.min(finishing.elapsed() + Duration::from_secs(5));
    }
    stage.note(format!("{killed} of {rounds} were in time"));
    Ok(())
}

pub(super) fn at_journal_lines(stage: &Stage) -> Result<()> {
    let machine = bare_machine(stage)?;
    machine.write(SCRIPT, KILLER.as_bytes(), 0o755)?;
    let rounds = stage.options.rounds.unwrap_or(ROUNDS);
    let kills = rounds * LINES_PER_ROUND;
    // About as many lines as states; the last stages have few.
    let every = if stage.options.full { 1 } else { (LINES / kills.max(1)).max(1) };
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
