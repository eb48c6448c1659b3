//! Looks at the node: a process compares it with what it shall be, and its agent tells what was seen.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use jiff::Timestamp;
use metalk8s_types::fleet::{AgentStatus, Drift};
use serde_json::{Map, Value};
use tokio::{process::Child, task::JoinSet};

use crate::{
    drift::{self, Schedule},
    worker::start,
};

/// How long a look at the node may take.
const LONGEST: Duration = Duration::from_secs(600);

/// How an agent has its node compared with what it shall be.
#[derive(Debug, Clone)]
pub struct Looks {
    /// The words that start the process of a look; the name of the node comes after them.
    pub command: Vec<OsString>,
    /// How often; zero is never.
    pub every: Duration,
    /// Whether a job of this function may have changed the node, so that it is looked at soon after.
    pub after: fn(&str) -> bool,
    /// Where a look leaves what it saw: a [`Drift`] in JSON.
    pub seen: PathBuf,
}

/// The looks at one node.
pub(crate) struct Looking {
    node: String,
    looks: Looks,
    schedule: Schedule,
    /// The look that is being taken.
    process: JoinSet<()>,
    /// What was told last.
    told: Option<Drift>,
}

/// What a look saw that the API does not know.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// The part of the status that changes: a merge patch.
    pub(crate) status: Map<String, Value>,
    seen: Option<Drift>,
}

impl Looking {
    pub(crate) fn new(node: &str, looks: Looks) -> Self {
        let schedule = Schedule::new(node, looks.every, Timestamp::now());
        Self { node: node.to_owned(), looks, schedule, process: JoinSet::new(), told: None }
    }

    /// Waits for the end of the look that is being taken, for ever where none is.
    pub(crate) async fn end(&mut self) {
        if self.process.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
        let seen = drift::seen(&self.looks.seen);
        self.schedule.ended(seen.as_ref(), Timestamp::now());
    }

    /// A job of this function has ended.
    pub(crate) fn job_ended(&mut self, function: &str) {
        if (self.looks.after)(function) {
            self.schedule.changed(Timestamp::now());
        }
    }

    /// What the API is to be told, which knows this status.
    pub(crate) fn news(&self, knows: &AgentStatus) -> News {
        let seen = drift::seen(&self.looks.seen).filter(|seen| self.told.as_ref() != Some(seen));
        News { status: seen.as_ref().map(|seen| drift::report(knows, seen)).unwrap_or_default(), seen }
    }

    /// The API was told.
    pub(crate) fn is_told(&mut self, news: News) {
        self.told = news.seen.or(self.told.take());
    }

    /// Takes a look when it is time; says how long that is until then.
    pub(crate) fn look(&mut self, is_busy: bool) -> Option<Duration> {
        let now = Timestamp::now();
        if !self.process.is_empty() {
            return None;
        }
        if self.schedule.is_due(now, is_busy) {
            self.schedule.begun(now);
            match start(&self.looks.command, &self.node) {
                Ok(child) => drop(self.process.spawn(looked(child))),
                Err(error) => tracing::error!(%error, "the process of a look could not be started"),
            }
        }
        // While jobs are carried out, their ends wake the agent.
        self.schedule.wait(now).filter(|wait| !(is_busy && wait.is_zero()))
    }
}

async fn looked(mut child: Child) {
    match tokio::time::timeout(LONGEST, child.wait()).await {
        Ok(Ok(status)) if status.success() => {}
        Ok(Ok(status)) => tracing::warn!(%status, "a look at the node failed"),
        Ok(Err(error)) => tracing::warn!(%error, "a look at the node cannot be waited for"),
        Err(_) => {
            tracing::warn!(seconds = LONGEST.as_secs(), "a look at the node takes too long and is ended");
            let _ = child.kill().await;
        }
    }
}
