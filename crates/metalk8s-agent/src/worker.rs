//! The process that carries out one job, and how it is started and ended.

use std::{ffi::OsString, io, process::Stdio, time::Duration};

use jiff::Timestamp;
use metalk8s_types::fleet::{Job, JobState, JobStatus};
use tokio::process::{Child, Command};

use crate::{
    process::Process,
    spool::{Spool, SpoolError},
};

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
    // Held until this process ends, however it does: an agent that was killed right after it had started this one
    // does not know of it, and starts another.
    let Some(mut hold) = spool.hold(name)? else { return Ok(()) };
    let Some(remembered) = spool.get(name)? else { return Err(SpoolError::Name(name.to_owned())) };
    if remembered.outcome.is_some() {
        return Ok(());
    }
    if let Some(former) = hold.former() {
        former.end_orphans().await;
    }
    if let Some(own) = Process::of(std::process::id()) {
        hold.is_run_by(own)?;
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::decide::testing::job;

    #[tokio::test]
    async fn of_two_processes_that_were_started_for_a_job_one_carries_it_out() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        spool.begin("1", &job()).unwrap();
        let calls = Cell::new(0);
        let nothing = || Outcome { retcode: 0, result: "true".into(), outputter: None };
        let act = async |_: Job| {
            calls.set(calls.get() + 1);
            // The second one comes while the first is at it.
            let second = carry_out(&spool, "1", async |_: Job| {
                calls.set(calls.get() + 1);
                Ok(nothing())
            });
            second.await.map_err(|error| error.to_string())?;
            Ok(nothing())
        };
        carry_out(&spool, "1", act).await.unwrap();
        carry_out(&spool, "1", async |_: Job| Err("it is over".to_owned())).await.unwrap();
        assert_eq!(calls.get(), 1);
        assert_eq!(spool.get("1").unwrap().unwrap().outcome.unwrap().state, JobState::Done);
    }
}
