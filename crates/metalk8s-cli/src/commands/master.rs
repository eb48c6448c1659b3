//! What the `salt` commands have in common: the fleet they speak to, and answers as they come.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use metalk8s_diagnostics::{LogFormat, logging};
use metalk8s_kube::Fleet;
use metalk8s_orchestrator::dispatch::Dispatched;
use metalk8s_saltcompat::{Returned, output::Answer};
use metalk8s_types::{
    fleet::{Agent, JobState, JobStatus},
    paths,
};
use serde_json::Value;
use tokio::time::Instant;

use crate::args::LogLevel;

/// The fleet, as the conductor sees it; on a master outside of its pod, as its administrator does.
pub(super) fn fleet() -> Fleet {
    let known = [paths::CONDUCTOR_KUBECONFIG, paths::ADMIN_KUBECONFIG];
    let readable = known.into_iter().find(|path| std::fs::File::open(Path::new(path)).is_ok());
    Fleet::lazy(readable.unwrap_or(paths::CONDUCTOR_KUBECONFIG))
}

/// Whether this machine has a kubeconfig for the fleet that this user may read.
pub(super) fn may_reach_fleet() -> bool {
    [paths::CONDUCTOR_KUBECONFIG, paths::ADMIN_KUBECONFIG]
        .iter()
        .any(|path| std::fs::File::open(path).is_ok())
}

/// Shows log lines on stderr as `-l` asks.
pub(super) fn begin_log(level: LogLevel) -> anyhow::Result<()> {
    if let LogLevel::Verbosity(verbosity) = level {
        logging::command(None, LogFormat::Text, verbosity)?;
    }
    Ok(())
}

/// The name of an agent.
pub(super) fn name(agent: &Agent) -> &str {
    agent.metadata.name.as_deref().unwrap_or_default()
}

/// Names and grains of agents, as targets are compared with them.
pub(super) fn minions(agents: &[Agent]) -> impl Iterator<Item = (&str, Option<&Value>)> {
    agents.iter().map(|agent| (name(agent), agent.status.as_ref().map(|status| &status.grains)))
}

/// What the status of a job says.
pub(super) fn answer(status: JobStatus) -> Answer {
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
pub(super) struct Answers {
    dispatched: Dispatched,
    patience: Duration,
    end: Instant,
    left: BTreeMap<String, Answer>,
}

impl Answers {
    pub(super) fn new(mut dispatched: Dispatched, patience: Duration) -> Self {
        let refused = std::mem::take(&mut dispatched.refused);
        let not_there = |(node, error): (String, metalk8s_kube::fleet::FleetError)| {
            tracing::warn!(node, error = metalk8s_diagnostics::sentence(&error), "a job could not be given");
            (node, Answer::NotConnected)
        };
        let left = refused.into_iter().map(not_there).collect();
        Self { dispatched, patience, end: Instant::now() + patience, left }
    }

    /// The name of the job.
    pub(super) fn id(&self) -> &str {
        &self.dispatched.id
    }

    /// The next answer, or that there is none of a minion; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<(String, Answer)> {
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
