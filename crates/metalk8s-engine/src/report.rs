//! What happened.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Change, StateId};

/// What happened to each state of a graph.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// One entry for every state of the graph, in the order they were begun.
    pub steps: Vec<StepReport>,
    /// All of them counted.
    pub totals: Totals,
}

/// What happened to one state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// Its name in the graph.
    pub id: StateId,
    /// What it is about, such as `File /etc/hosts`.
    pub what: String,
    /// Salt's result: true, false, or none where it was only looked at and would change.
    pub result: Option<bool>,
    /// The same in more detail.
    pub outcome: Outcome,
    /// One line for a person.
    pub comment: String,
    /// What was changed, or would be. A program that failed was run all the same.
    pub changes: Vec<Change>,
    /// Where it failed: the causes, outermost first.
    pub causes: Vec<String>,
    /// When it was begun.
    pub started: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// Its place among all states of the run, from 0.
    pub run_number: usize,
}

/// How it went with a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was true already.
    Unchanged,
    /// It was made true, or reacted to a change.
    Changed,
    /// Its requisites did not ask for it.
    NotNeeded,
    /// It would change; nothing was done.
    WouldChange,
    /// Whether it would change cannot be known before this state was applied; nothing was done.
    Unknown {
        /// The state that must be applied first.
        before: StateId,
    },
    /// It was not run because this state, the first of the chain, failed.
    NotRun {
        /// The state that failed.
        because: StateId,
    },
    /// It could not be checked or made true.
    Failed,
}

/// Counts and durations of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// States in all.
    pub states: usize,
    /// Of these, those that did not fail: done, true already, not needed, or only looked at.
    pub succeeded: usize,
    /// Of the successful ones, those that were changed, or would be.
    pub changed: usize,
    /// Those that failed, or were not run because another failed.
    pub failed: usize,
    /// Of the failed ones, those that were not run.
    pub not_run: usize,
    /// The durations of all states added up, in milliseconds.
    pub duration_ms: f64,
}

impl StepReport {
    /// Whether it failed, or was not run because another failed.
    pub fn is_failed(&self) -> bool {
        self.result == Some(false)
    }

    /// Whether it was changed.
    pub fn is_changed(&self) -> bool {
        self.outcome == Outcome::Changed
    }
}

impl Report {
    /// Counts the entries and puts them in the order they were begun.
    pub fn new(mut steps: Vec<StepReport>) -> Self {
        steps.sort_by_key(|step| step.run_number);
        let mut totals = Totals { states: steps.len(), ..Totals::default() };
        for step in &steps {
            totals.duration_ms += step.duration_ms;
            match step.outcome {
                Outcome::Failed => totals.failed += 1,
                Outcome::NotRun { .. } => {
                    totals.failed += 1;
                    totals.not_run += 1;
                }
                Outcome::Changed | Outcome::WouldChange => {
                    totals.succeeded += 1;
                    totals.changed += 1;
                }
                Outcome::Unchanged | Outcome::NotNeeded | Outcome::Unknown { .. } => totals.succeeded += 1,
            }
        }
        Self { steps, totals }
    }

    /// Whether no state failed.
    pub fn is_success(&self) -> bool {
        self.totals.failed == 0
    }

    /// States that failed themselves, without those that were not run because of them.
    pub fn failures(&self) -> impl Iterator<Item = &StepReport> {
        self.steps.iter().filter(|step| step.outcome == Outcome::Failed)
    }

    /// The entry of a state.
    pub fn get(&self, id: &str) -> Option<&StepReport> {
        self.steps.iter().find(|step| step.id.as_str() == id)
    }
}
