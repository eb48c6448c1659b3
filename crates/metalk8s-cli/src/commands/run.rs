//! `metalk8s run`.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use metalk8s_diagnostics::{
    DiagnoseExt, Exit, Output, Printer, Progress, ProgressMode, RunningStep, coded_sentence,
};
use metalk8s_engine::journal::RunId;
use metalk8s_kube::Fleet;
use metalk8s_orchestrator::runs::{
    self,
    fleet::{RunEvent, ask, follow},
};
use metalk8s_types::fleet::{RunPhase, StepState};
use serde::Serialize;

use super::master::{fleet, may_reach_fleet};
use crate::args::{Journals, Run, RunCommand};

/// Shows runs, of this machine by their journals and of the fleet by their objects, and changes the latter.
pub(crate) async fn run(args: Run, quiet: bool, printer: &mut Printer) -> anyhow::Result<Exit> {
    let (zone, paint) = (TimeZone::system(), printer.paint());
    match args.command {
        RunCommand::List { journals } => {
            let mut runs = runs::list(&journals.journals, &lock(&journals)).diagnose()?;
            if may_reach_fleet() {
                match runs::fleet::list(&fleet()).await {
                    Ok(others) => runs.extend(others),
                    Err(error) => printer
                        .warn(&format!("the runs of the fleet are missing: {}", coded_sentence(&error))),
                }
            }
            runs.sort_by(|one, other| one.run.cmp(&other.run));
            print(&runs, runs::list_text(&runs, &zone, paint), journals.output, printer)?;
        }
        RunCommand::Show { run, journals } => {
            let of_fleet = match &run {
                Some(run) if may_reach_fleet() => fleet().run(run.as_str()).await.diagnose()?,
                _ => None,
            };
            let run = match of_fleet.as_ref().and_then(runs::fleet::of_fleet) {
                Some(run) => run,
                None => runs::show(&journals.journals, &lock(&journals), run.as_ref()).diagnose()?,
            };
            print(&run, runs::show_text(&run, &zone, paint), journals.output, printer)?;
        }
        RunCommand::Watch { run, no_progress } => {
            let progress = Progress::new(ProgressMode::choose(quiet, false, no_progress), None);
            let fleet = fleet();
            if fleet.run(run.as_str()).await.diagnose()?.is_none() {
                return Err(runs::RunsError::Unknown(run)).diagnose()?;
            }
            return Ok(tokio::select! {
                watched = watch(&fleet, &run, None, &progress) => watched.exit(),
                _ = super::told_to_stop() => Exit::Interrupted,
            });
        }
        RunCommand::Cancel { run } => {
            fleet().cancel_run(run.as_str()).await.diagnose()?;
            printer.say("It ends after the step that is being done.");
        }
        RunCommand::Resume { run, no_progress } => {
            let fleet = fleet();
            let Some(found) = fleet.run(run.as_str()).await.diagnose()? else {
                return Err(runs::RunsError::Unknown(run)).diagnose()?;
            };
            let again = ask(&fleet, found.spec.procedure, &found.spec.version).await.diagnose()?;
            printer.say(&format!("Run {again} goes on with it: what is done is left alone."));
            let progress = Progress::new(ProgressMode::choose(quiet, false, no_progress), None);
            return Ok(tokio::select! {
                watched = watch(&fleet, &again, None, &progress) => watched.exit(),
                _ = super::told_to_stop() => Exit::Interrupted,
            });
        }
    }
    Ok(Exit::Done)
}

/// How a run ended that was watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watched {
    /// All steps are done.
    Done,
    /// A step failed, or somebody ended it.
    Failed,
}

impl Watched {
    fn exit(self) -> Exit {
        match self {
            Self::Done => Exit::Done,
            Self::Failed => Exit::Failed,
        }
    }
}

/// Shows the steps of a run of the fleet as they go; `of` stands before each where several are shown.
pub(super) async fn watch(fleet: &Fleet, run: &RunId, of: Option<&str>, progress: &Progress) -> Watched {
    let mut followed = follow(fleet, run);
    let mut current: Option<(String, RunningStep)> = None;
    let title = |title: &str| of.map_or_else(|| title.to_owned(), |of| format!("{of}: {title}"));
    while let Some(event) = followed.next().await {
        match event {
            RunEvent::Begun(step) => current = Some((step.name.clone(), progress.step(title(&step.title)))),
            RunEvent::Ended(step) => {
                let Some((_, running)) = current.take_if(|(name, _)| *name == step.name) else { continue };
                match step.state {
                    StepState::Failed => running.fail(Some(&step.error.join("\n"))),
                    StepState::Done | StepState::Running => running.done(),
                }
            }
            RunEvent::Waits(message) => progress.say(&title(&message)),
            RunEvent::Blind(why) => tracing::warn!(error = why, "the run cannot be seen, trying again"),
            RunEvent::Over(status) if status.phase == RunPhase::Succeeded => return Watched::Done,
            RunEvent::Over(status) => {
                if status.phase == RunPhase::Cancelled {
                    progress.say(&title(status.message.as_deref().unwrap_or("cancelled")));
                }
                progress.say(&format!(
                    "`metalk8s run show {run}` tells all; `metalk8s run resume {run}` goes on with it."
                ));
                return Watched::Failed;
            }
            RunEvent::Gone => {
                progress.say(&title("somebody deleted the run"));
                return Watched::Failed;
            }
        }
    }
    Watched::Failed
}

/// The lock lies beside the journals.
fn lock(journals: &Journals) -> PathBuf {
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
