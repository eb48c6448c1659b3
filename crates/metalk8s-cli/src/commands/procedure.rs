//! What commands have in common that carry out a procedure on this machine.

use std::path::Path;

use anyhow::Context;
use metalk8s_diagnostics::{
    DiagnoseExt, Diagnosed, Exit, LogFile, LogFormat, Output, Printer, Progress, ProgressMode,
    colours_wanted, explain, logging,
};
use metalk8s_orchestrator::stages::{RunError, StagePlan, Summary};
use serde::Serialize;

/// Refuses whoever is not root.
pub(crate) fn must_be_root() -> Result<(), Diagnosed> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Diagnosed::with_code(explain::NOT_ROOT, "Script must run as root"))
}

/// Opens the log of a run of `name`, which also keeps what is printed for people, and shows its steps.
pub(crate) fn begin(
    name: &str,
    log_file: &Path,
    mode: ProgressMode,
    verbose: bool,
    printer: &mut Printer,
) -> anyhow::Result<Progress> {
    let log = LogFile::open(log_file).diagnose()?;
    log.opening(name).context("could not write the log")?;
    logging::command(Some(log.clone()), LogFormat::Text, u8::from(verbose))?;
    printer.keep_in(log.clone());
    Ok(Progress::new(mode, Some(log)))
}

/// Prints what would be done.
pub(crate) fn print_plans(
    stages: &[StagePlan],
    output: Output,
    exit_code: bool,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let pending = stages.iter().any(|stage| stage.plan.pending().next().is_some());
    match output {
        Output::Text => {
            for StagePlan { title, plan } in stages {
                printer.data(&format!("== {title}"));
                printer.data(plan.text(colours_wanted(&std::io::stdout())).trim_end());
            }
        }
        Output::Json => printer.json(&stages)?,
        Output::Yaml => printer.data(&serde_saphyr::to_string(&stages)?),
    }
    Ok(if pending && exit_code { Exit::Pending } else { Exit::Done })
}

/// What was done, for programs.
#[derive(Serialize)]
struct Done<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    seconds: f64,
}

/// Prints what was done: as data, or in these words.
pub(crate) fn print_summary(
    summary: &Summary,
    seconds: f64,
    output: Output,
    words: &str,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let data = Done { summary, seconds };
    match output {
        Output::Json => printer.json(&data)?,
        Output::Yaml => printer.data(&serde_saphyr::to_string(&data)?),
        Output::Text => printer.say(words),
    }
    Ok(())
}

/// The error of a run that stopped.
pub(crate) fn stopped(err: RunError, log_file: &Path) -> Diagnosed {
    Diagnosed::new(err).hint(format!(
        "everything that was done is kept: repair the cause, then start the same command again; all details are in `{}`",
        log_file.display()
    ))
}

/// What a person is told who interrupted it.
pub(crate) fn interrupted(printer: &mut Printer) -> Exit {
    let error = "Interrupted. What was done is kept; the same command goes on from there.";
    printer.say(&explain::INTERRUPTED.at_end_of(error.to_owned()));
    Exit::Interrupted
}
