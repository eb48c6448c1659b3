//! The runs of this machine, read back from their journals, and those of a fleet.
//!
//! Reads only: neither a journal nor a run that is going on is touched.

pub mod fleet;
mod text;
mod trial;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use metalk8s_diagnostics::{Code, Diagnose, Hint, code_of_io, explain};
use metalk8s_engine::journal::{Journal, JournalError, Record, RunId};
use serde::{Serialize, Serializer};

use crate::{lock::holder, run_journal::journals};

pub use text::{list_text, show_text};
pub use trial::{Trial, TrialStep};

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// Its name, the moment it began.
    pub run: RunId,
    /// What it is, such as `bootstrap`; empty where the journal cannot be read.
    pub what: String,
    /// The version of the program that began it.
    pub version: String,
    /// How it stands.
    pub state: RunState,
    /// When it began.
    pub began: Option<Timestamp>,
    /// When it ended; of an interrupted run, its last sign of life.
    pub ended: Option<Timestamp>,
    /// How often it was gone on with.
    pub resumed: usize,
    /// Its steps, in order.
    pub steps: Vec<RunStep>,
    /// What failed last, each line a failed state or one of its causes; empty where nothing did.
    pub failure: Vec<String>,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// All steps are done.
    Finished,
    /// A step failed, and it stopped there.
    Failed,
    /// It was ended or killed.
    Interrupted,
    /// It is going on.
    Running,
    /// Its journal cannot be read.
    Unreadable,
    /// No conductor has taken it yet.
    Waiting,
    /// Somebody ended it between two steps.
    Cancelled,
}

/// One step of a run. Of a run that was gone on with, all attempts are added up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunStep {
    /// Its name.
    pub step: String,
    /// How it stands.
    pub state: StepState,
    /// How long it took, in seconds, as far as it is known.
    #[serde(serialize_with = "rounded")]
    pub seconds: f64,
    /// How many states it changed.
    pub changed: usize,
}

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// It is done.
    Done,
    /// A state of it failed.
    Failed,
    /// It was begun, and nothing tells that it ended.
    Interrupted,
    /// It is going on.
    Running,
    /// It was not begun.
    Waiting,
}

/// Why runs cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum RunsError {
    /// The journals cannot be read.
    #[error("could not read the journals in `{path}`")]
    Read {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is none.
    #[error("no run was begun on this machine")]
    None,
    /// There is none of that name.
    #[error("there is no run `{0}`")]
    Unknown(RunId),
}

impl Diagnose for RunsError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Read { source, .. } => Some(code_of_io(source)),
            Self::None | Self::Unknown(_) => Some(explain::RUN_UNKNOWN),
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Unknown(_) => vec!["`metalk8s run list` shows the runs there are".into()],
            Self::Read { .. } | Self::None => Vec::new(),
        }
    }
}

/// All runs, oldest first. `lock` is the one that runs hold while they go on.
///
/// # Errors
/// When the directory cannot be read; a single journal that cannot is among the runs.
pub fn list(directory: &Path, lock: &Path) -> Result<Vec<Run>, RunsError> {
    let failed = |source| RunsError::Read { path: directory.to_owned(), source };
    let files = match journals(directory) {
        Ok(files) => files,
        Err(err) if err.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(err) => return Err(failed(err)),
    };
    let mut runs = Vec::with_capacity(files.len());
    for (id, path) in files {
        // Of runs that end meanwhile the oldest journals go.
        match fs::read(&path) {
            Ok(bytes) => runs.push(read(id, &bytes)),
            Err(err) if err.kind() == io::ErrorKind::NotFound => {}
            Err(err) => return Err(failed(err)),
        }
    }
    if let Some(holder) = holder(lock) {
        mark_running(&mut runs, &holder);
    }
    Ok(runs)
}

/// One run; the newest where none is named.
///
/// # Errors
/// When there is none of that name, or none at all.
pub fn show(directory: &Path, lock: &Path, run: Option<&RunId>) -> Result<Run, RunsError> {
    let mut runs = list(directory, lock)?;
    match run {
        None => runs.pop().ok_or(RunsError::None),
        Some(id) => runs.into_iter().find(|run| run.run == *id).ok_or_else(|| RunsError::Unknown(id.clone())),
    }
}

/// What a journal tells by itself: a run that neither ended nor failed counts as interrupted.
fn read(id: RunId, bytes: &[u8]) -> Run {
    let journal = match Journal::parse(bytes) {
        Ok(journal) => journal,
        Err(err) => return unreadable(id, &err),
    };
    let mut run = Run {
        run: id,
        what: journal.name.clone(),
        version: journal.version.clone(),
        state: RunState::Interrupted,
        began: None,
        ended: None,
        resumed: 0,
        steps: journal.steps.iter().map(|step| RunStep::waiting(step)).collect(),
        failure: Vec::new(),
    };
    let mut attempt: Option<Attempt> = None;
    for record in &journal.records {
        let at = moment(record);
        run.began.get_or_insert(at);
        run.ended = Some(at);
        match record {
            Record::Run { .. } => {}
            Record::Resumed { .. } => {
                run.stop(attempt.take());
                run.state = RunState::Interrupted;
                run.resumed += 1;
            }
            Record::StepStarted { step, .. } => {
                run.stop(attempt.take());
                run.state = RunState::Interrupted;
                attempt = Some(Attempt { step: step.clone(), began: at, last: at, changing: 0 });
            }
            Record::Changing { .. } => {
                if let Some(attempt) = &mut attempt {
                    attempt.last = at;
                    attempt.changing += 1;
                }
            }
            Record::StepFinished { step, done, changes, error, .. } => {
                let began = attempt.take().map_or(at, |attempt| attempt.began);
                let state = if *done { StepState::Done } else { StepState::Failed };
                run.add(step, state, seconds(began, at), *changes);
                if !done {
                    run.state = RunState::Failed;
                    run.failure.clone_from(error);
                }
            }
            Record::RunFinished { done, .. } => {
                run.state = if *done { RunState::Finished } else { RunState::Failed };
                if *done {
                    run.failure.clear();
                }
            }
        }
    }
    run.stop(attempt);
    run
}

fn unreadable(id: RunId, err: &JournalError) -> Run {
    let cause = std::error::Error::source(err).map(|cause| format!("cause: {cause}"));
    Run {
        run: id,
        what: String::new(),
        version: String::new(),
        state: RunState::Unreadable,
        began: None,
        ended: None,
        resumed: 0,
        steps: Vec::new(),
        failure: std::iter::once(explain::JOURNAL_UNREADABLE.at_end_of(err.to_string()))
            .chain(cause)
            .collect(),
    }
}

/// The run that the holder of the lock conducts is the last of its kind that did not end.
fn mark_running(runs: &mut [Run], holder: &str) {
    let what = holder.split(',').next().unwrap_or_default();
    let Some(run) = runs.iter_mut().rfind(|run| run.what == what) else { return };
    if run.state != RunState::Interrupted {
        return;
    }
    run.state = RunState::Running;
    run.ended = None;
    for step in &mut run.steps {
        if step.state == StepState::Interrupted {
            step.state = StepState::Running;
        }
    }
}

/// A step that was begun.
struct Attempt {
    step: String,
    began: Timestamp,
    last: Timestamp,
    changing: usize,
}

impl Run {
    /// An attempt of which nothing tells that it ended.
    fn stop(&mut self, attempt: Option<Attempt>) {
        if let Some(Attempt { step, began, last, changing }) = attempt {
            self.add(&step, StepState::Interrupted, seconds(began, last), changing);
        }
    }

    fn add(&mut self, step: &str, state: StepState, seconds: f64, changed: usize) {
        let position = self.steps.iter().position(|known| known.step == step).unwrap_or_else(|| {
            // A newer program went on with the run.
            self.steps.push(RunStep::waiting(step));
            self.steps.len() - 1
        });
        let known = &mut self.steps[position];
        known.state = state;
        known.seconds += seconds;
        known.changed += changed;
    }
}

impl RunStep {
    fn waiting(step: &str) -> Self {
        Self { step: step.to_owned(), state: StepState::Waiting, seconds: 0.0, changed: 0 }
    }
}

fn moment(record: &Record) -> Timestamp {
    match record {
        Record::Run { at, .. }
        | Record::Resumed { at, .. }
        | Record::StepStarted { at, .. }
        | Record::Changing { at, .. }
        | Record::StepFinished { at, .. }
        | Record::RunFinished { at, .. } => *at,
    }
}

/// A clock that was set back in between makes no negative time.
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

fn rounded<S: Serializer>(seconds: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((seconds * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests;
