//! `metalk8s doctor`.

use metalk8s_diagnostics::{Exit, Output, Printer};
use metalk8s_orchestrator::{
    doctor::{examine, text},
    precheck::Severity,
};

use super::master::fleet;
use crate::args::Doctor;

/// How the program ends when there are warnings alone.
const WARNINGS: Exit = Exit::Status(4);

/// Looks at everything.
pub(crate) async fn run(args: Doctor, printer: &mut Printer) -> anyhow::Result<Exit> {
    let report = examine(&fleet()).await;
    match args.output {
        Output::Text => printer.data(text(&report, printer.paint()).trim_end()),
        Output::Json => printer.json(&report)?,
        Output::Yaml => printer.data(&serde_saphyr::to_string(&report)?),
    }
    Ok(match report.worst() {
        None => Exit::Done,
        Some(Severity::Warning) => WARNINGS,
        Some(Severity::Error) => Exit::Failed,
    })
}
