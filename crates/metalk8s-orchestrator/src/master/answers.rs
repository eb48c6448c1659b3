//! Answers of a job as they come.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use metalk8s_diagnostics::sentence;
use metalk8s_kube::fleet::FleetError;
use metalk8s_saltcompat::{Returned, output::Answer};
use metalk8s_types::fleet::{JobState, JobStatus};
use serde_json::Value;
use tokio::time::Instant;

use crate::dispatch::Dispatched;

/// What the status of a job says.
pub fn answer(status: JobStatus) -> Answer {
    let JobStatus { state, function, retcode, result, outputter, error, .. } = status;
    let value = match (result, error) {
        (Some(result), _) => serde_json::from_str(&result).unwrap_or(Value::String(result)),
        (None, Some(error)) => Value::String(format!("{function}: {error}")),
        (None, None) => Value::String(format!("{function}: {state:?}")),
    };
    let retcode = match state {
        JobState::Done => retcode.unwrap_or(0),
        JobState::Running | JobState::Interrupted | JobState::Refused => retcode.unwrap_or(1),
    };
    Answer::Returned(Returned::from_parts(value, retcode, outputter.as_deref()))
}

/// Answers as they come: who has not even begun after `patience` is not waited for, who has is.
pub struct Answers {
    dispatched: Dispatched,
    patience: Duration,
    end: Instant,
    left: BTreeMap<String, Answer>,
}

impl Answers {
    /// Those of a job that was given just now.
    pub fn new(mut dispatched: Dispatched, patience: Duration) -> Self {
        let refused = std::mem::take(&mut dispatched.refused);
        let not_there = |(node, error): (String, FleetError)| {
            tracing::warn!(node, error = sentence(&error), "a job could not be given");
            (node, Answer::NotConnected)
        };
        let left = refused.into_iter().map(not_there).collect();
        Self { dispatched, patience, end: Instant::now() + patience, left }
    }

    /// The name of the job.
    pub fn id(&self) -> &str {
        &self.dispatched.id
    }

    /// The next answer, or that there is none of a minion; `None` at the end.
    pub async fn next(&mut self) -> Option<(String, Answer)> {
        loop {
            if let Some(answer) = self.left.pop_first() {
                return Some(answer);
            }
            if let Some((node, status)) = self.dispatched.next(self.end).await {
                return Some((node, answer(status)));
            }
            if self.dispatched.waiting.is_empty() {
                return None;
            }
            let running: BTreeSet<String> =
                self.dispatched.running.intersection(&self.dispatched.waiting).cloned().collect();
            let jid = self.dispatched.id.clone();
            let silent = std::mem::replace(&mut self.dispatched.waiting, running);
            let silent = silent.into_iter().filter(|node| !self.dispatched.waiting.contains(node));
            self.left = silent.map(|node| (node, Answer::NoResponse { jid: jid.clone() })).collect();
            self.end = Instant::now() + self.patience;
        }
    }
}
