//! `./lab logs`, by the program that `./lab` starts.

use std::{process::Command, time::Duration};

use anyhow::{Result, bail, ensure};

use crate::{
    SOON,
    machine::Machine,
    process::{self, Output},
    suite::Stage,
    wait_until,
};

/// How long one call may take.
const CALL: Duration = Duration::from_secs(60);
/// A unit of each machine, and what systemd calls it when it starts it.
const UNIT: &str = "ssh.service";
const STARTED: &str = "OpenBSD Secure Shell server";
/// How the line of a command that follows the journal begins on the machine.
const FOLLOWS: &str = "^journalctl --boot --follow";

/// Of the machine that was named, since its last boot, and of one unit where that was asked for.
pub(super) fn show_the_journal(stage: &Stage) -> Result<()> {
    let [first, second] = stage.lab.machines.as_slice() else { bail!("the lab has not 2 machines") };
    first.run_checked("logger said-by-the-first")?;
    second.run_checked("logger said-by-the-second")?;
    shows(stage, &[], &["said-by-the-first", STARTED], &["said-by-the-second", super::OF_FORMER_BOOT])?;
    shows(stage, &[&second.name], &["said-by-the-second", STARTED], &["said-by-the-first"])?;
    shows(stage, &[&second.name, "--unit", UNIT], &[STARTED], &["said-by-the-second"])?;
    let output = logs(stage, &["nobody"])?;
    let is_told = output.code == 1 && output.stderr.contains("`nobody`") && output.stdout.is_empty();
    ensure!(is_told, "of a machine that is not there: {output:?}");
    follows(stage, second)
}

/// Waits, as the journal takes up what it is told in its own time.
fn shows(stage: &Stage, words: &[&str], there: &[&str], not_there: &[&str]) -> Result<()> {
    wait_until("the journal", SOON, || {
        let output = logs(stage, words).map_err(|error| format!("{error:#}"))?;
        let missing: Vec<_> = there.iter().filter(|word| !output.stdout.contains(**word)).collect();
        let surplus: Vec<_> = not_there.iter().filter(|word| output.stdout.contains(**word)).collect();
        match output.success() && missing.is_empty() && surplus.is_empty() {
            true => Ok(()),
            false => Err(format!(
                "logs {}: it ended with {}, {missing:?} are missing, and {surplus:?} should not be there",
                words.join(" "),
                output.code
            )),
        }
    })?;
    Ok(())
}

/// What comes later is shown, too. The call is ended on the machine, as it would go on for ever.
fn follows(stage: &Stage, machine: &Machine) -> Result<()> {
    let (mut is_asked, mut is_shown) = (false, false);
    let mut call = call(stage, &[&machine.name, "--follow"]);
    let output = process::stream(&mut call, None, CALL, &mut |_, line| {
        let word = if line.contains("said-afterwards") {
            is_shown = true;
            format!("pkill --full '{FOLLOWS}'")
        } else if is_asked {
            return;
        } else {
            is_asked = true;
            "logger said-afterwards".to_owned()
        };
        // Where it cannot be said, it is not shown, and the deadline ends the call.
        let _ = machine.run(&word);
    });
    // Also where nothing was shown.
    machine.run(&format!("pkill --full '{FOLLOWS}'"))?;
    output?;
    ensure!(is_shown, "what came later was not shown");
    Ok(())
}

fn logs(stage: &Stage, words: &[&str]) -> Result<Output> {
    Ok(process::capture(&mut call(stage, words), None, CALL)?)
}

/// This program, also where it was compiled anew meanwhile.
fn call(stage: &Stage, words: &[&str]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(["--quiet", "--lab", stage.lab.name.as_str(), "logs"]).args(words);
    command
}
