//! Functions about the jobs of the machine's own agent.

use serde_json::{Value, json};

use super::{Call, CallError, Minion, text};

/// A job that is being carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningJob {
    /// Its id.
    pub jid: String,
    /// Such as `state.apply`.
    pub function: String,
    /// The words after it.
    pub arguments: Vec<String>,
    /// Its process.
    pub pid: u32,
}

impl RunningJob {
    fn told(&self, minion: &str) -> Value {
        let Self { jid, function, arguments, pid } = self;
        json!({
            "jid": jid,
            "fun": function,
            "arg": arguments,
            "pid": pid,
            "tgt": minion,
            "tgt_type": "glob",
            "ret": "",
            "user": "root",
        })
    }
}

impl Call<'_> {
    pub(super) fn running(&self, minion: &dyn Minion) -> Result<Value, CallError> {
        self.takes(0, &[])?;
        let (name, jobs) = self.jobs(minion)?;
        Ok(jobs.iter().map(|job| job.told(&name)).collect::<Vec<_>>().into())
    }

    /// An empty map where it is not carried out, as Salt returns.
    pub(super) fn find_job(&self, minion: &dyn Minion) -> Result<Value, CallError> {
        let jid = self.jid()?;
        let (name, jobs) = self.jobs(minion)?;
        Ok(jobs.iter().find(|job| job.jid == jid).map_or_else(|| json!({}), |job| job.told(&name)))
    }

    pub(super) fn end_job(&self, minion: &dyn Minion, hard: bool) -> Result<Value, CallError> {
        let jid = self.jid()?;
        let ended =
            minion.end_job(&jid, hard).map_err(|source| CallError::Machine { what: "jobs", source })?;
        let signal = if hard { 9 } else { 15 };
        Ok(match ended {
            Some(pid) => format!("Signal {signal} sent to job {jid} at pid {pid}").into(),
            None => "".into(),
        })
    }

    fn jobs(&self, minion: &dyn Minion) -> Result<(String, Vec<RunningJob>), CallError> {
        let failed = |source| CallError::Machine { what: "jobs", source };
        let grains = minion.grains().map_err(failed)?;
        Ok((text(&grains["id"]), minion.running().map_err(failed)?))
    }

    fn jid(&self) -> Result<String, CallError> {
        self.takes(1, &[])?;
        // As it was typed: a number of 20 digits does not fit into one of 64 bits.
        let jid =
            self.typed.first().filter(|jid| jid.len() == 20 && jid.bytes().all(|byte| byte.is_ascii_digit()));
        jid.cloned()
            .ok_or_else(|| self.usage(format!("`{}` needs the id of a job, 20 digits", self.function)))
    }
}
