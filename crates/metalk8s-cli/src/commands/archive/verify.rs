//! `metalk8s archive verify`.

use metalk8s_artifacts::verify;
use metalk8s_diagnostics::{Exit, Output, Printer};
use metalk8s_orchestrator::code_of_problem;
use serde_json::json;

use crate::args::ArchiveVerify;

/// Compares an archive with its manifest.
pub(crate) fn run(args: ArchiveVerify, printer: &mut Printer) -> anyhow::Result<Exit> {
    let ArchiveVerify { path, key, output } = args;
    let problems = verify(&path, key.as_deref(), &mut |_| {});
    match output {
        Output::Text => {
            for problem in &problems {
                printer.data(&code_of_problem(problem).at_end_of(problem.to_string()));
            }
            if let Some(problem) = problems.first() {
                printer.say(&format!("hint: {}", code_of_problem(problem).pointer()));
            } else {
                printer.data(&format!("`{}` is as it was signed", path.display()));
                if key.is_none() {
                    printer.say("The archive's own key was used: give --key to find out who signed it.");
                }
            }
        }
        Output::Json => printer.json(&json!({"archive": path, "problems": problems}))?,
        Output::Yaml => {
            printer.data(&serde_saphyr::to_string(&json!({"archive": path, "problems": problems}))?);
        }
    }
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Failed })
}
