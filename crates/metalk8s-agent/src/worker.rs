//! The process that carries out one job, and how it is started and ended.

use std::{ffi::OsString, io, process::Stdio, time::Duration};

use jiff::Timestamp;
use metalk8s_types::fleet::{Job, JobState, JobStatus};
use tokio::process::{Child, Command};

use crate::spool::{Spool, SpoolError};

/// Starts a process for a job. It outlives the agent: what it began, it ends.
pub(crate) fn start(command: &[OsString], name: &str) -> io::Result<Child> {
    let (program, words) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    Command::new(program).args(words).arg(name).stdin(Stdio::null()).kill_on_drop(false).spawn()
}

/// What a function returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Salt's `retcode`.
    pub retcode: u8,
    /// The value, as JSON text.
    pub result: String,
    /// Salt's name of the form in which people read it, where it is not the usual one.
    pub outputter: Option<String>,
}

/// What a job's process does: calls `act` with the job, within its time, and leaves the outcome in the spool.
/// `act` tells the outcome, or why there is none.
///
/// # Errors
/// When the spool cannot be read or written.
pub async fn carry_out<F>(spool: &Spool, name: &str, act: impl FnOnce(Job) -> F) -> Result<(), SpoolError>
where
    F: Future<Output = Result<Outcome, String>>,
{
    // A session of its own, so that the job can be ended with all that it starts. It fails where this process
    // leads one already.
    let _ = rustix::process::setsid();
    let Some(remembered) = spool.get(name)? else { return Err(SpoolError::Name(name.to_owned())) };
    if remembered.outcome.is_some() {
        return Ok(());
    }
    let started = Timestamp::now();
    let job = remembered.job;
    let (function, seconds) = (job.function.clone(), job.timeout_seconds);
    let ended = tokio::time::timeout(Duration::from_secs(u64::from(seconds)), act(job)).await;
    let (retcode, result, outputter, error) = match ended {
        Ok(Ok(Outcome { retcode, result, outputter })) => (retcode, Some(result), outputter, None),
        Ok(Err(error)) => (1, None, None, Some(error)),
        Err(_) => (1, None, None, Some(format!("it did not end within {seconds} s"))),
    };
    let outcome = JobStatus {
        state: JobState::Done,
        function,
        started,
        finished: Some(Timestamp::now()),
        retcode: Some(retcode),
        result,
        outputter,
        error,
    };
    spool.ended(name, &outcome)
}
