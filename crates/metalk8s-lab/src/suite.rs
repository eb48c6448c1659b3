//! End-to-end suites: lists of checks that run on the machines of a lab.

use std::{path::PathBuf, time::Instant};

use anyhow::{Context, Result};
use metalk8s_diagnostics::{Diagnosed, Printer};

use crate::{
    lab::{Lab, LabName, TemporaryLab},
    suite::machines::stub::StubArchive,
};

pub mod install;
pub mod machines;

/// One claim about a lab.
pub struct Check {
    /// The claim, such as `the node is Ready`.
    pub name: &'static str,
    /// Tells why it does not hold.
    pub run: fn(&Stage) -> Result<()>,
}

/// A named list of checks, in their order.
pub struct Suite {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it proves, in a sentence.
    pub about: &'static str,
    /// Which machines it runs on.
    pub ground: Ground,
    /// The checks.
    pub checks: &'static [Check],
}

/// Which machines a suite runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// Those of a lab that `up` has made before.
    Given,
    /// Bare ones of its own, which it removes at the end.
    Own,
}

/// What a check runs on.
pub struct Stage {
    /// The lab.
    pub lab: Lab,
    /// An archive that stands for the product, where the suite has its own lab.
    pub archive: Option<PathBuf>,
}

/// All suites.
pub const SUITES: &[Suite] = &[machines::SUITE, install::SUITE];

/// What a suite found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Checks that held.
    pub passed: usize,
    /// Checks that did not.
    pub failed: usize,
}

/// Runs all checks, also after one failed, and prints one line for each; the last line is the tally.
///
/// # Errors
/// When there is no lab to run them on.
pub fn run(suite: &Suite, name: &LabName, printer: &mut Printer) -> Result<Tally> {
    match suite.ground {
        Ground::Given => {
            let lab = Lab::find(name).map_err(Diagnosed::new)?;
            Ok(run_checks(suite, &Stage { lab, archive: None }, printer))
        }
        Ground::Own => {
            let stub = StubArchive::make().context("could not make an archive to test with")?;
            let config = machines::config(name, &stub);
            let lab = TemporaryLab::up(&config).map_err(Diagnosed::new)?;
            let stage = Stage { lab: Lab::clone(&lab), archive: Some(stub.path()) };
            Ok(run_checks(suite, &stage, printer))
        }
    }
}

fn run_checks(suite: &Suite, stage: &Stage, printer: &mut Printer) -> Tally {
    let mut tally = Tally::default();
    for check in suite.checks {
        let started = Instant::now();
        let result = (check.run)(stage);
        let seconds = started.elapsed().as_secs_f64();
        match result {
            Ok(()) => {
                tally.passed += 1;
                printer.data(&format!("ok      {seconds:6.1} s  {}", check.name));
            }
            Err(error) => {
                tally.failed += 1;
                printer.data(&format!("FAILED  {seconds:6.1} s  {}", check.name));
                printer.error(error.as_ref());
            }
        }
    }
    printer.data(&format!("{} passed, {} failed", tally.passed, tally.failed));
    tally
}
