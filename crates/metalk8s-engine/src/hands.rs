//! Those who make states true, as the engine sees them.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::State;

/// Makes states true on a host or in a cluster.
#[async_trait]
pub trait Hands: Send + Sync {
    /// Whether this pair of hands can carry out such a state.
    fn takes(&self, state: &State) -> bool;

    /// What would have to change, or `None`. Reads only.
    async fn check(&self, state: &State) -> Result<Option<Change>, StateError>;

    /// Makes the change that `check` found, and only that. Returns what was changed.
    async fn apply(&self, state: &State, change: &Change) -> Result<Change, StateError>;

    /// A state that this one watches has changed, and this one itself had nothing to change, or is a service
    /// of which only settings were changed ([`ChangeKind::Update`]): restart, reload or run it. Returns what
    /// was done; `None` where nothing had to be.
    async fn react(&self, state: &State) -> Result<Option<Change>, StateError>;
}

/// One difference between a wish and the world. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What kind of change.
    pub kind: ChangeKind,
    /// One line a person understands, such as `write /etc/hosts`.
    pub summary: String,
    /// The text before, where it may be shown.
    pub before: Option<String>,
    /// The text after, where it may be shown.
    pub after: Option<String>,
    /// Tells texts that may not be shown from others, and nothing else of them; only whoever made it can compare it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// How a program ended that was run. Not stored: nobody knows whether what it said is a secret.
    #[serde(skip)]
    pub ran: Option<Ran>,
}

/// How a program ended and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its process; `None` where it could not be found out.
    pub pid: Option<u32>,
    /// What it ended with; the number of a signal that ended it is negative.
    pub status: i32,
    /// What it wrote, bounded.
    pub stdout: String,
    /// What it wrote for people, bounded.
    pub stderr: String,
}

/// What kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Something new comes.
    Create,
    /// Something becomes different.
    Update,
    /// Something goes.
    Remove,
    /// A program runs, a service restarts.
    Run,
    /// Only time passes.
    Wait,
}

/// Why a state could not be checked or applied.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct StateError {
    /// What was being done, with the names involved.
    pub doing: String,
    /// Whether trying again can help.
    pub retryable: bool,
    /// How long after the first failure trying again can still help, where that is known. Otherwise a few
    /// attempts are enough.
    pub passes_within: Option<Duration>,
    /// What was done all the same, such as a program that ran and failed.
    pub done: Option<Box<Change>>,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Change {
    /// A change without texts to compare.
    pub fn new(kind: ChangeKind, summary: impl Into<String>) -> Self {
        Self { kind, summary: summary.into(), before: None, after: None, fingerprint: None, ran: None }
    }
}

impl StateError {
    /// An error that stays until somebody acts.
    pub fn new(doing: impl Into<String>) -> Self {
        Self { doing: doing.into(), retryable: false, passes_within: None, done: None, source: None }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error, with what was done all the same.
    #[must_use]
    pub fn having_done(mut self, change: Change) -> Self {
        self.done = Some(Box::new(change));
        self
    }

    /// The same error, marked as one where trying again can help.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// The same error, which something else mends by itself within this time.
    #[must_use]
    pub fn passing_within(self, time: Duration) -> Self {
        Self { passes_within: Some(time), ..self.retryable() }
    }
}
