//! A job for one node, which is waited for as long as there is hope.

use std::{collections::BTreeSet, time::Duration};

use metalk8s_diagnostics::{Code, Diagnose, explain};
use metalk8s_kube::fleet::FleetError;
use metalk8s_types::fleet::{JobState, JobStatus};
use tokio::time::Instant;

use super::{Call, Dispatched, dispatch};
use crate::bus::Bus;

/// How long the news take that a job was begun, or has ended.
const NEWS: Duration = Duration::from_secs(5);
/// How often an agent that carries out a job is asked whether it is still there.
const ASKED: Duration = Duration::from_secs(60);
/// How long it may be silent: longer than a boot of its machine, after which it goes on, and than its way to the API
/// may be gone while a master comes or goes.
const SILENCE: Duration = Duration::from_secs(300);

/// Why a job on one node brought no result.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// It could not be given to it.
    #[error("could not give `{function}` to `{node}`")]
    Give {
        /// The node.
        node: String,
        /// The function.
        function: String,
        /// Why.
        #[source]
        source: FleetError,
    },
    /// Nobody answered.
    #[error("the agent of `{node}` did not answer `{function}` (job {job}) within {seconds} s")]
    NoAnswer {
        /// The node.
        node: String,
        /// The function.
        function: String,
        /// The job.
        job: String,
        /// How long was waited.
        seconds: u64,
    },
    /// It was begun, and then its agent fell silent.
    #[error(
        "the agent of `{node}` has not been heard of for {seconds} s, while it carried out `{function}` (job {job})"
    )]
    Silent {
        /// The node.
        node: String,
        /// The function.
        function: String,
        /// The job.
        job: String,
        /// How long was waited.
        seconds: u64,
    },
    /// It was not carried out, or not to its end.
    #[error("`{function}` on `{node}` (job {job}): {why}")]
    Failed {
        /// The node.
        node: String,
        /// The function.
        function: String,
        /// The job.
        job: String,
        /// Why.
        why: String,
    },
}

impl Diagnose for JobError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Give { source, .. } => source.code(),
            Self::NoAnswer { .. } | Self::Silent { .. } => Some(explain::AGENT_SILENT),
            Self::Failed { .. } => Some(explain::AGENT_FAILED),
        }
    }

    fn passes(&self) -> bool {
        matches!(self, Self::Give { source, .. } if source.passes())
    }
}

/// What became of a job, as far as its agent has told.
enum Waited {
    Ended(JobStatus),
    /// It was not even begun after so many seconds.
    NotBegun(u64),
    /// It was begun, and its agent has been silent for so many seconds.
    Silent(u64),
    /// It has not ended after so many seconds.
    TooLong(u64),
}

/// Has one node carry out a call, and waits for what it returns: the status, and the result. An agent that does not
/// begin in time, or falls silent, is not waited for until the call's own time is over.
///
/// # Errors
/// When there is no result. That states failed is none: the status tells.
pub async fn job(bus: &dyn Bus, node: &str, call: &Call) -> Result<(u8, serde_json::Value), JobError> {
    let mut dispatched = dispatch(bus, &BTreeSet::from([node.to_owned()]), call).await;
    let (name, function, job) = (node.to_owned(), call.function.clone(), dispatched.id.clone());
    if let Some(source) = dispatched.refused.remove(node) {
        return Err(JobError::Give { node: name, function, source });
    }
    let status = match wait(bus, node, call, &mut dispatched).await {
        Waited::Ended(status) => status,
        Waited::NotBegun(seconds) | Waited::TooLong(seconds) => {
            return Err(JobError::NoAnswer { node: name, function, job, seconds });
        }
        Waited::Silent(seconds) => return Err(JobError::Silent { node: name, function, job, seconds }),
    };
    let failed = |why: String| JobError::Failed { node: name, function, job, why };
    match (status.state, status.result, status.error) {
        (JobState::Done, Some(result), _) => {
            let result = serde_json::from_str(&result).map_err(|error| failed(error.to_string()))?;
            Ok((status.retcode.unwrap_or(0), result))
        }
        (_, _, Some(error)) => Err(failed(error)),
        (state, _, None) => Err(failed(format!("{state:?}"))),
    }
}

async fn wait(bus: &dyn Bus, node: &str, call: &Call, dispatched: &mut Dispatched) -> Waited {
    let given = Instant::now();
    let to_begin = call.begin_within + NEWS;
    let patience = to_begin + call.timeout + NEWS;
    if let Some((_, status)) = dispatched.next(given + to_begin).await {
        return Waited::Ended(status);
    }
    if dispatched.running.is_empty() {
        return Waited::NotBegun(to_begin.as_secs());
    }
    let mut heard = Instant::now();
    loop {
        let asked = Instant::now() + ASKED;
        if let Some((_, status)) = dispatched.next(asked.min(given + patience)).await {
            return Waited::Ended(status);
        }
        if Instant::now() >= given + patience {
            return Waited::TooLong(patience.as_secs());
        }
        if is_there(bus, node).await {
            heard = Instant::now();
        } else if heard.elapsed() >= SILENCE {
            return Waited::Silent(heard.elapsed().as_secs());
        }
    }
}

/// Whether an agent answers at all.
async fn is_there(bus: &dyn Bus, node: &str) -> bool {
    let mut asked = dispatch(bus, &BTreeSet::from([node.to_owned()]), &Call::ping(NEWS)).await;
    asked.next(Instant::now() + 2 * NEWS).await.is_some()
}

#[cfg(test)]
mod tests;
