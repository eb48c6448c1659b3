//! The manual, command by command, on machines of its own: from bare ones to a cluster.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::Result;
use metalk8s_diagnostics::{Diagnosed, Printer};
use metalk8s_types::Role;

use super::{Finding, Options, Suite, Tally, cluster::wait_for_static_pods};
use crate::{
    LabConfig, TemporaryLab, archive, install,
    procedures::{Book, Facts, Form, Need, Outcome, Procedure, Report, Runner},
};

pub(super) mod ground;

use ground::{Clone, Ground, make_operator_host};

const NAME: &str = "procedures";
/// The machine that is not part of the cluster, and the one of the person who installs.
const NEW_NODE: &str = "node1";
const OPERATOR_HOST: &str = "node2";

/// Run by `metalk8s-lab suite procedures`.
pub const SUITE: Suite =
    Suite { name: NAME, about: "the commands that the manual prints, as it prints them", run };

fn run(options: &Options, printer: &mut Printer) -> Result<Tally> {
    let book = ground::book(&options.checkout)?;
    let config = LabConfig {
        name: options.lab.beside("manual"),
        machines: 3,
        archive: Some(options.archive.clone()),
        bootstrap: false,
    };
    let lab = TemporaryLab::up(&config).map_err(Diagnosed::new)?;
    make_operator_host(&lab, lab.machine(OPERATOR_HOST)?)?;
    let clone = Clone::make(&options.checkout, options.lab.beside("clone"))?;
    let folder = tempfile::tempdir()?;
    let (other_version, iso) = archive::other::make(&options.archive, folder.path())?;
    let other_iso = lab.offer_archive(&iso, "metalk8s-other.iso").map_err(Diagnosed::new)?;
    drop(folder);
    let ground =
        Ground { operator_host: Some(OPERATOR_HOST), clone: Some(&clone), ..Ground::new(&lab, NEW_NODE) };
    let facts = Facts { other_iso, other_version, ..ground.facts(&[Role::Node])? };
    let runner = Runner { book: &book, facts: &facts, place: &ground };
    let mut report = Report::new(&book, NAME);
    let mut tally = Tally::default();
    let mut phase =
        |needs: &[Need], report: &mut Report| run_phase(&runner, needs, report, &mut tally, printer);

    // What a phase leaves is what the next one begins with, as for a person who reads on.
    phase(&[Need::BareMachine, Need::Archive, Need::NewNode, Need::OperatorHost], &mut report);
    install::configure(&lab).map_err(Diagnosed::new)?;
    phase(&[Need::Archive, Need::Configuration, Need::NewNode, Need::OperatorHost], &mut report);
    let settled = wait_for_static_pods(lab.bootstrap()?);
    if settled.is_ok() {
        phase(&[Need::Archive, Need::Cluster, Need::NewNode, Need::OperatorHost], &mut report);
    }
    phase(&[Need::Git], &mut report);
    if options.full {
        phase(&[Need::Git, Need::Checkout], &mut report);
    }
    tally.findings.extend(tell(&book, &report, options, printer));
    if let Err(error) = settled {
        printer.error(error.as_ref());
        tally.findings.push(Finding::failed("the cluster that was installed settles", format!("{error:#}")));
    }
    Ok(tally)
}

fn run_phase(
    runner: &Runner<'_>,
    needs: &[Need],
    report: &mut Report,
    tally: &mut Tally,
    printer: &mut Printer,
) {
    let available: BTreeSet<_> = needs.iter().copied().collect();
    let mut started = Instant::now();
    runner.run(&available, report, &mut |procedure, outcome| {
        let took = started.elapsed();
        let failure = match outcome {
            Outcome::Failed { problems } => Some(problems.join("\n")),
            _ => None,
        };
        printer.data(&line(procedure, outcome, took));
        if let Some(problems) = &failure {
            printer.data(&format!("        {}", problems.replace('\n', "\n        ")));
        }
        tally.findings.push(Finding { name: named(procedure), took, failure, notes: Vec::new() });
        started = Instant::now();
    });
}

fn line(procedure: &Procedure, outcome: &Outcome, took: Duration) -> String {
    let word = if matches!(outcome, Outcome::Passed) { "ok    " } else { "FAILED" };
    format!("{word}  {:6.1} s  {}", took.as_secs_f64(), named(procedure))
}

/// Its identity, and how the manual introduces it.
fn named(procedure: &Procedure) -> String {
    let adapted = procedure.run.as_ref().is_some_and(|run| run.form == Form::Adapted);
    let text =
        procedure.text.as_deref().and_then(|text| text.trim().lines().next()).unwrap_or(&procedure.heading);
    format!("{}  {}{text}", procedure.id, if adapted { "adapted: " } else { "" })
}

/// Prints the table, what was not run though it could be, and the last line. Gives what failed by that.
fn tell(book: &Book, report: &Report, options: &Options, printer: &mut Printer) -> Vec<Finding> {
    let mut failed = Vec::new();
    let mut left = Vec::new();
    for procedure in book.procedures() {
        if let Some(Outcome::Waiting { needs }) = report.outcome(&procedure.id) {
            let is_long = needs.contains(&Need::Checkout) && !options.full;
            if !is_long {
                failed.push(Finding::failed(named(procedure), "what it needs was not there"));
            }
            left.push((procedure.id.as_str(), is_long));
        }
    }
    printer.data("");
    printer.data(&report.table());
    let ids = |long: bool| {
        left.iter().filter(|(_, is_long)| *is_long == long).map(|(id, _)| *id).collect::<Vec<_>>().join(" ")
    };
    if !ids(true).is_empty() {
        printer.data(&format!("run only with --full: {}", ids(true)));
    }
    if !ids(false).is_empty() {
        printer.data(&format!("FAILED, since what they need was not there: {}", ids(false)));
    }
    printer.data(&report.summary());
    failed
}
