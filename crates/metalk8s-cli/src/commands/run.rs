//! `metalk8s run`.

use std::path::Path;

use jiff::tz::TimeZone;
use metalk8s_diagnostics::{DiagnoseExt, Exit, Output, Printer};
use metalk8s_orchestrator::runs;
use serde::Serialize;

use crate::args::{Journals, Run, RunCommand};

/// Shows runs by their journals.
pub(crate) fn run(args: Run, printer: &mut Printer) -> anyhow::Result<Exit> {
    let (zone, paint) = (TimeZone::system(), printer.paint());
    match args.command {
        RunCommand::List { journals } => {
            let runs = runs::list(&journals.journals, &lock(&journals)).diagnose()?;
            print(&runs, runs::list_text(&runs, &zone, paint), journals.output, printer)?;
        }
        RunCommand::Show { run, journals } => {
            let run = runs::show(&journals.journals, &lock(&journals), run.as_ref()).diagnose()?;
            print(&run, runs::show_text(&run, &zone, paint), journals.output, printer)?;
        }
    }
    Ok(Exit::Done)
}

/// The lock lies beside the journals.
fn lock(journals: &Journals) -> std::path::PathBuf {
    let name = Path::new(metalk8s_types::paths::RUN_LOCK).file_name().unwrap_or_default();
    journals.journals.join(name)
}

fn print(data: &impl Serialize, text: String, output: Output, printer: &mut Printer) -> anyhow::Result<()> {
    match output {
        Output::Text => printer.data(&text),
        Output::Json => printer.json(data)?,
        Output::Yaml => printer.data(&serde_saphyr::to_string(data)?),
    }
    Ok(())
}
