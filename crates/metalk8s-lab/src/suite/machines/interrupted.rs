//! `up` is killed at many moments, and each time the next one goes on.

use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use metalk8s_diagnostics::Diagnosed;

use super::stub::VERSION;
use crate::{
    lab::{Lab, LabConfig},
    suite::{Stage, chance::Chance, quiet},
};

/// How often `up` is killed, unless it is said otherwise.
const ROUNDS: u64 = 2;
/// Every so often the lab is removed in between, or only the last steps would be met.
const ROUNDS_FROM_NOTHING: u64 = 3;

pub(super) fn up_goes_on_after_a_kill(stage: &Stage) -> Result<()> {
    let rounds = stage.options.rounds.unwrap_or(ROUNDS);
    stage.note(format!("{rounds} kills"));
    kill_and_finish(stage, rounds)
}

fn kill_and_finish(stage: &Stage, rounds: u64) -> Result<()> {
    let progress = quiet();
    let archive = stage.archive.as_path();
    let config = LabConfig {
        name: stage.lab.name.clone(),
        machines: 2,
        archive: Some(archive.to_owned()),
        bootstrap: true,
    };
    let whole = Instant::now();
    Lab::down(&config.name, &progress).map_err(Diagnosed::new)?;
    Lab::up(&config, &progress).map_err(Diagnosed::new)?;
    let whole = whole.elapsed();
    let mut chance = Chance::new(stage.options.seed);
    for round in 0..rounds {
        if round % ROUNDS_FROM_NOTHING == 0 {
            Lab::down(&config.name, &progress).map_err(Diagnosed::new)?;
        }
        let moment = whole.mul_f64(chance.fraction());
        up_killed_after(&config, archive, moment)?;
    }
    let lab = Lab::up(&config, &progress).map_err(Diagnosed::new)?;
    ensure!(lab.machines.len() == 2, "{} machines", lab.machines.len());
    for machine in &lab.machines {
        machine.run_checked("systemctl is-system-running && test -s /archives/metalk8s.iso")?;
    }
    let bootstrap = lab.bootstrap()?;
    bootstrap
        .run_checked(&format!("mountpoint /srv/scality/metalk8s-{VERSION} && test -s /var/lib/stub-runs"))?;
    Ok(())
}

fn up_killed_after(config: &LabConfig, archive: &std::path::Path, moment: Duration) -> Result<()> {
    // Also where this program was compiled anew meanwhile.
    let mut child = Command::new("/proc/self/exe")
        .args(["--quiet", "--lab", config.name.as_str(), "up", "--machines", "2", "--iso"])
        .arg(archive)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    thread::sleep(moment);
    // It may have ended before; then this round was an undisturbed one.
    let _ = child.kill();
    child.wait()?;
    Ok(())
}
