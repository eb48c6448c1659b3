//! End-to-end suites: lists of checks that run on the machines of a lab.

use std::{
    cell::{OnceCell, RefCell},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use metalk8s_diagnostics::{Diagnosed, Printer, Progress, ProgressMode};

use crate::{
    Machine,
    lab::{Lab, LabConfig, LabName, TemporaryLab},
};

pub mod balancing;
pub mod chance;
pub mod cluster;
pub mod conformance;
pub mod drift;
pub mod expand;
pub mod faults;
mod fleet_run;
pub mod install;
pub mod interrupted;
pub mod inventory;
pub mod layout;
mod listening;
pub mod machines;
pub mod manual;
pub mod renewal;
pub mod results;
pub mod routes;
pub mod shrink;
pub mod survival;

use inventory::Inventory;

/// A named suite.
pub struct Suite {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it proves, in a sentence.
    pub about: &'static str,
    /// Runs it and prints a line for each check, then the tally.
    ///
    /// `Err` when there are no machines to run on.
    pub run: fn(&Options, &mut Printer) -> Result<Tally>,
}

/// What a suite is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The lab; suites with machines of their own make one beside it.
    pub lab: LabName,
    /// The product's ISO.
    pub archive: PathBuf,
    /// The root of this repository.
    pub checkout: PathBuf,
    /// How often something is killed; without a number, a few times.
    pub rounds: Option<u64>,
    /// What chance begins with.
    pub seed: u64,
    /// Whether to run what takes long, too.
    pub full: bool,
}

impl Options {
    /// The checks of a suite: its sample, where all is asked for also `more`, and what comes last.
    fn checks(&self, sample: &[Check], more: &[Check], last: &[Check]) -> Vec<Check> {
        let more = if self.full { more } else { &[] };
        [sample, more, last].concat()
    }
}

/// One claim about a lab.
#[derive(Clone, Copy)]
pub struct Check {
    /// The claim, such as `the node is Ready`.
    pub name: &'static str,
    /// Tells why it does not hold.
    pub run: fn(&Stage) -> Result<()>,
}

/// What checks run on.
pub struct Stage {
    /// The lab.
    pub lab: Lab,
    /// The archive that the suite works with.
    pub archive: PathBuf,
    /// What the suite was asked for.
    pub options: Options,
    /// What an undisturbed bootstrap leaves.
    pub reference: OnceCell<Inventory>,
    notes: RefCell<Vec<String>>,
}

/// All suites.
pub const SUITES: &[Suite] = &[
    machines::SUITE,
    install::SUITE,
    drift::SUITE,
    expand::SUITE,
    shrink::SUITE,
    interrupted::SUITE,
    renewal::SUITE,
    faults::SUITE,
    manual::SUITE,
    survival::SUITE,
    layout::SUITE,
    balancing::SUITE,
    routes::SUITE,
    conformance::SUITE,
];

/// What a suite found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Of each check, in the order in which they were made.
    pub findings: Vec<Finding>,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The claim.
    pub name: String,
    /// How long the check took.
    pub took: Duration,
    /// Why the claim does not hold, where it does not.
    pub failure: Option<String>,
    /// What was measured or chosen.
    pub notes: Vec<String>,
}

impl Tally {
    /// How many checks held.
    pub fn passed(&self) -> usize {
        self.findings.len() - self.failed()
    }

    /// How many did not.
    pub fn failed(&self) -> usize {
        self.findings.iter().filter(|finding| finding.failure.is_some()).count()
    }
}

impl Finding {
    /// Of a check that could not be made, or that is not over yet.
    pub fn failed(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { name: name.into(), took: Duration::ZERO, failure: Some(why.into()), notes: Vec::new() }
    }
}

impl Stage {
    /// A machine of the lab.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn machine(&self, name: &str) -> Result<&Machine> {
        self.lab.machine(name).with_context(|| format!("the lab has no machine `{name}`"))
    }

    /// A stage on which nothing has been checked yet.
    pub fn new(lab: Lab, archive: PathBuf, options: &Options) -> Self {
        let (reference, notes) = (OnceCell::new(), RefCell::default());
        Self { lab, archive, options: options.clone(), reference, notes }
    }

    /// Something that was measured or chosen, to be shown beside the check.
    pub fn note(&self, text: impl Into<String>) {
        self.notes.borrow_mut().push(text.into());
    }
}

/// A lab of so many machines beside the one that was asked for, bootstrapped and settled.
pub(crate) fn bootstrapped(options: &Options, suite: &str, machines: u8) -> Result<TemporaryLab> {
    let lab = beside(options, suite, machines, true)?;
    cluster::wait_settled(lab.bootstrap()?)?;
    Ok(lab)
}

/// The same without a cluster, for what is to be configured before.
pub(crate) fn bare(options: &Options, suite: &str, machines: u8) -> Result<TemporaryLab> {
    beside(options, suite, machines, false)
}

fn beside(options: &Options, suite: &str, machines: u8, bootstrap: bool) -> Result<TemporaryLab> {
    let archive = Some(options.archive.clone());
    let config = LabConfig { name: options.lab.beside(suite), machines, archive, bootstrap };
    Ok(TemporaryLab::up(&config).map_err(Diagnosed::new)?)
}

/// Runs all checks, also after one failed, and prints one line for each; the last line is the tally.
pub fn run_checks(checks: &[Check], stage: &Stage, printer: &mut Printer) -> Tally {
    let mut tally = Tally::default();
    for check in checks {
        let started = Instant::now();
        let result = (check.run)(stage);
        let took = started.elapsed();
        let notes = stage.notes.take();
        let word = if result.is_ok() { "ok    " } else { "FAILED" };
        let seconds = took.as_secs_f64();
        let shown = if notes.is_empty() { String::new() } else { format!(" [{}]", notes.join("; ")) };
        printer.data(&format!("{word}  {seconds:6.1} s  {}{shown}", check.name));
        if let Err(error) = &result {
            printer.error(error.as_ref());
        }
        let failure = result.err().map(|error| format!("{error:#}"));
        tally.findings.push(Finding { name: check.name.to_owned(), took, failure, notes });
    }
    printer.data(&format!("{} passed, {} failed", tally.passed(), tally.failed()));
    tally
}

pub(crate) fn quiet() -> Progress {
    Progress::new(ProgressMode::Quiet, None)
}
