//! What a running stage shows and records.

use std::{sync::Mutex, time::Duration};

use metalk8s_diagnostics::RunningStep;
use metalk8s_engine::{Change, Observer, StateError, Step, StepReport};

use crate::run_journal::RunJournal;

/// Shows the state being worked on, logs every change, and records a change before it is made.
pub(crate) struct StageObserver<'a> {
    step: &'a RunningStep,
    journal: Mutex<&'a mut RunJournal>,
}

impl<'a> StageObserver<'a> {
    pub(crate) fn new(step: &'a RunningStep, journal: &'a mut RunJournal) -> Self {
        Self { step, journal: Mutex::new(journal) }
    }
}

impl Observer for StageObserver<'_> {
    fn changing(&self, step: &Step, change: &Change) -> Result<(), StateError> {
        self.step.note(&change.summary);
        tracing::info!(state = %step.id, "{}", change.summary);
        let mut journal = self.journal.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        journal
            .changing(&step.id, &change.summary)
            .map_err(|err| StateError::new("could not record the change in the journal").because(err))
    }

    fn waiting(&self, _step: &Step, still: &str, since: Duration) {
        self.step.note(&format!("{still} ({} s)", since.as_secs()));
    }

    fn finished(&self, step: &Step, report: &StepReport) {
        if report.is_failed() {
            tracing::error!(state = %step.id, causes = ?report.causes, "{}", report.comment);
        } else {
            tracing::debug!(state = %step.id, milliseconds = report.duration_ms, "{}", report.comment);
        }
    }
}
