//! What the bootstrap must survive, and what it must refuse.
//!
//! All of it happens on one machine, which a snapshot brings back to where its archive is there, its configuration
//! is written, and nothing else was done.

use std::{sync::OnceLock, time::Instant};

use anyhow::{Context, Result, ensure};
use metalk8s_diagnostics::{Diagnosed, Printer};

use super::{
    Check, Options, Stage, Suite, Tally,
    cluster::{self, bootstrap_sh, said, wait_settled},
    inventory::Inventory,
    quiet, run_checks,
};
use crate::{Lab, LabName, Machine, install};

mod alone;
mod configuration;
mod damage;
mod disk;
pub(super) mod host;
mod kills;
mod refusal;

/// Run by `metalk8s-lab suite faults`.
pub const SUITE: Suite = Suite {
    name: "faults",
    about: "a disturbed bootstrap ends as an undisturbed one, or refuses clearly",
    run,
};

const CHECKS: &[Check] = &[
    Check {
        name: "an undisturbed bootstrap ends, and is what the others are compared with",
        run: undisturbed,
    },
    Check {
        name: "a missing, empty, binary or wrong bootstrap.yaml is refused",
        run: configuration::wrong_ones,
    },
    Check { name: "a range that matches no address or two is refused", run: host::addresses },
    Check { name: "a taken port is refused, and told with who has it", run: host::taken_port },
    Check { name: "a host name that is no DNS label is refused", run: host::bad_name },
    Check {
        name: "a firewall that drops what it does not know is opened for what other machines must reach",
        run: host::strict_firewall,
    },
    Check { name: "too little free disk space is refused", run: disk::too_small },
    Check { name: "a truncated archive is refused", run: damage::truncated },
    Check {
        name: "one flipped byte in a package, a layer or a manifest is named",
        run: damage::flipped_bytes,
    },
    Check {
        name: "one flipped byte at the beginning, in the middle or at the end of the program is named before it starts",
        run: damage::flipped_program,
    },
    Check {
        name: "after the repair a bootstrap ends as an undisturbed one, and a second at once is refused",
        run: alone::second_is_refused,
    },
    Check {
        name: "a disk that fills up is told, and after repair the same command finishes",
        run: disk::fills_up,
    },
    Check { name: "killed at random moments, the same command finishes", run: kills::at_random_moments },
    Check { name: "killed at lines of its journal, the same command finishes", run: kills::at_journal_lines },
];
/// Only where all is asked for.
const LONG: &[Check] = &[
    Check {
        name: "a disk without space for etcd is an error, and after repair the same command finishes",
        run: disk::no_etcd,
    },
    Check {
        name: "killed once at lines spread over its journal, each time from nothing, the same command finishes",
        run: kills::once_from_nothing,
    },
];

/// What the undisturbed run was like. There is one in a process, as there is one suite.
static PACE: OnceLock<kills::Pace> = OnceLock::new();

fn run(options: &Options, printer: &mut Printer) -> Result<Tally> {
    printer.data(&format!("seed {0}: --seed {0} kills at the same moments", options.seed));
    let lab = super::bare(options, SUITE.name, 1)?;
    install::configure(&lab).map_err(Diagnosed::new)?;
    lab.take_snapshot(&bare(), &quiet()).map_err(Diagnosed::new)?;
    Ok(run_checks(
        &options.checks(CHECKS, LONG, &[]),
        &Stage::new(Lab::clone(&lab), options.archive.clone(), options),
        printer,
    ))
}

fn bare() -> LabName {
    "bare".parse().expect("it is a name")
}

/// The machine as it was before anything was done, with its archive mounted.
fn bare_machine(stage: &Stage) -> Result<&Machine> {
    stage.lab.restore_snapshot(&bare(), &quiet()).map_err(Diagnosed::new)?;
    install::mount(&stage.lab).map_err(Diagnosed::new)?;
    Ok(stage.lab.bootstrap()?)
}

fn undisturbed(stage: &Stage) -> Result<()> {
    let machine = bare_machine(stage)?;
    let started = Instant::now();
    let output = bootstrap_sh(machine, "")?;
    ensure!(output.success(), "{}", said(&output));
    let took = started.elapsed();
    stage.note(format!("{:.1} s", took.as_secs_f64()));
    let journal = kills::journal(machine)?;
    wait_settled(machine)?;
    let inventory = Inventory::collect(machine)?;
    stage.note(format!("{} files, units, images and objects", inventory.len()));
    // Nobody has set them before: this is the only place.
    let _ = stage.reference.set(inventory);
    let _ = PACE.set(kills::Pace::of(took, &journal));
    Ok(())
}

/// The documented command ends well, and all is as after an undisturbed run.
fn finishes(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let output = bootstrap_sh(machine, "")?;
    ensure!(output.success(), "the same command again: {}", said(&output));
    is_as_undisturbed(stage)
}

fn is_as_undisturbed(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    wait_settled(machine)?;
    let reference = stage.reference.get().context("there is no undisturbed run to compare with")?;
    reference.must_equal(&Inventory::collect(machine)?).context("it is not as after an undisturbed run")?;
    let again = cluster::bootstrap_sh(machine, "--dry-run --exit-code")?;
    ensure!(again.success(), "there is something left to do: {}", said(&again));
    Ok(())
}
