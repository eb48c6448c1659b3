//! `up` is killed at many moments, and each time the next one goes on.

use std::{
    env,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use metalk8s_diagnostics::{Diagnosed, Progress, ProgressMode};

use super::stub::VERSION;
use crate::{
    lab::{Lab, LabConfig},
    suite::Stage,
};

/// How often `up` is killed, unless METALK8S_SUITE_ROUNDS says otherwise.
const ROUNDS: u64 = 6;
/// Every so often the lab is removed in between, or only the last steps would be met.
const ROUNDS_FROM_NOTHING: u64 = 3;

pub(super) fn up_goes_on_after_a_kill(stage: &Stage) -> Result<()> {
    let archive = stage.archive.as_ref().context("there is no archive")?;
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let rounds = number("METALK8S_SUITE_ROUNDS").unwrap_or(ROUNDS);
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs());
    let seed = number("METALK8S_SUITE_SEED").or(now().ok()).unwrap_or(1);
    kill_and_finish(stage, archive, rounds, seed).with_context(|| format!("METALK8S_SUITE_SEED={seed}"))
}

fn kill_and_finish(stage: &Stage, archive: &std::path::Path, rounds: u64, seed: u64) -> Result<()> {
    let progress = Progress::new(ProgressMode::Quiet, None);
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
    let mut state = seed;
    for round in 0..rounds {
        if round % ROUNDS_FROM_NOTHING == 0 {
            Lab::down(&config.name, &progress).map_err(Diagnosed::new)?;
        }
        let moment = whole.mul_f64(fraction(&mut state));
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
    let program = env::current_exe()?;
    let mut child = Command::new(program)
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

/// A number from 0 to 1, the same for the same seed (the generator of splitmix64).
fn fraction(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::fraction;

    #[test]
    fn the_same_seed_gives_the_same_moments_between_0_and_1() {
        let moments = |mut state| (0..100).map(|_| fraction(&mut state)).collect::<Vec<_>>();
        assert_eq!(moments(7), moments(7));
        assert_ne!(moments(7), moments(8));
        assert!(moments(7).iter().all(|moment| (0.0..1.0).contains(moment)));
    }
}
