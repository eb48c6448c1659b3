//! The daemon: follows its own object, starts and ends processes, tells what became of jobs.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, time::Duration};

use jiff::Timestamp;
use metalk8s_diagnostics::{Code, Diagnose, coded_sentence, sentence};
use metalk8s_kube::{
    Fleet,
    fleet::{FleetError, Seen},
};
use metalk8s_pki::Life;
use metalk8s_types::{
    VERSION,
    fleet::{Agent, Job, JobState, JobStatus},
};
use serde_json::{Map, Value, json};
use tokio::{process::Child, task::JoinSet};

use crate::{
    decide::{Action, concluded, decide},
    looks::{Looking, Looks},
    process::Process,
    renewal::{self, Renewals},
    report::report,
    spool::{Remembered, Spool, SpoolError},
    worker::start,
};

/// How often an agent with running jobs looks at processes that an earlier one has started.
const LOOK: Duration = Duration::from_secs(2);
/// How long it waits before it tells again what the API did not take.
const AGAIN: Duration = Duration::from_secs(2);

/// What an agent needs to know.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// The name of its node.
    pub node: String,
    /// How it reaches the API.
    pub kubeconfig: PathBuf,
    /// Where it remembers jobs.
    pub spool: PathBuf,
    /// The words that start the process of a job; the name of the job comes after them.
    pub command: Vec<OsString>,
    /// Facts of the node under Salt's names.
    pub grains: Value,
    /// Reads how long the certificates of the node live that its roles renew.
    pub lives: fn() -> Vec<Life>,
    /// How the node is compared with what it shall be.
    pub looks: Looks,
}

/// Why an agent ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The disk.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

impl Diagnose for ServeError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Spool(error) => error.code(),
        }
    }
}

/// Serves until `shutdown` ends. Jobs that are being carried out go on without it.
///
/// # Errors
/// When the disk is of no use.
pub async fn serve(config: AgentConfig, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
    let mut daemon = Daemon {
        spool: Spool::open(&config.spool)?,
        unwritten: BTreeMap::new(),
        fleet: Fleet::lazy(&config.kubeconfig),
        started: Timestamp::now(),
        looking: Looking::new(&config.node, config.looks.clone()),
        agent: None,
        begun: BTreeMap::new(),
        children: JoinSet::new(),
        mine: BTreeMap::new(),
        has_introduced_itself: false,
        renewals: Renewals::new(&config.node, config.lives),
        renewal: None,
        config,
    };
    let mut events = daemon.fleet.follow_agents(Some(&daemon.config.node));
    let mut shutdown = std::pin::pin!(shutdown);
    tracing::info!(node = daemon.config.node, version = VERSION, "the agent begins");
    loop {
        daemon.renew();
        let again = daemon.act().await?;
        tokio::select! {
            () = &mut shutdown => {
                tracing::info!("the agent ends");
                return Ok(());
            }
            Some(seen) = events.recv() => daemon.see(seen),
            Some(ended) = daemon.children.join_next() => daemon.reaped(ended.ok()),
            () = daemon.looking.end() => {}
            () = tokio::time::sleep(again.unwrap_or(LOOK)), if again.is_some() => {}
            () = tokio::time::sleep(daemon.renewals.wait(Timestamp::now())) => {}
        }
    }
}

struct Daemon {
    config: AgentConfig,
    spool: Spool,
    /// Jobs that are over, which the disk does not take, and what became of them.
    unwritten: BTreeMap<String, (Job, JobStatus)>,
    fleet: Fleet,
    started: Timestamp,
    looking: Looking,
    /// What the API said last.
    agent: Option<Agent>,
    /// When jobs were begun by this process.
    begun: BTreeMap<String, Timestamp>,
    /// Each ends with a process that this one has started.
    children: JoinSet<Reaped>,
    /// Those of them that have not ended, or whose outcome has not been looked at.
    mine: BTreeMap<String, Process>,
    has_introduced_itself: bool,
    renewals: Renewals,
    /// The job that renews certificates, the last one.
    renewal: Option<String>,
}

/// A job whose process has ended.
struct Reaped {
    name: String,
    /// What became of it, where the disk did not take that.
    unwritten: Option<(Job, JobStatus)>,
}

impl Daemon {
    fn see(&mut self, seen: Seen<Agent>) {
        match seen {
            Seen::There(agent) => self.agent = Some(*agent),
            // It may come again; what is being done is ended.
            Seen::Gone(_) => self.agent = None,
            Seen::Complete => {}
            Seen::Blind(why) => tracing::warn!(error = why, "the API cannot be seen, trying again"),
        }
    }

    fn reaped(&mut self, reaped: Option<Reaped>) {
        match reaped {
            Some(Reaped { name, unwritten }) => {
                self.mine.remove(&name);
                if let Some(unwritten) = unwritten {
                    self.unwritten.insert(name.clone(), unwritten);
                }
                if let Ok(Some(memory)) = self.spool.get(&name) {
                    self.looking.job_ended(&memory.job.function);
                }
            }
            // Nobody knows whose end it was: all are looked at by their processes.
            None => self.mine.clear(),
        }
    }

    /// What is remembered. A process of this one counts as alive until its outcome was looked at: else its job
    /// would be begun again in between.
    fn remembered(&self) -> Result<BTreeMap<String, Remembered>, SpoolError> {
        let mut all = self.spool.all()?;
        for (name, process) in &self.mine {
            if let Some(memory) = all.get_mut(name) {
                memory.process = Some(*process);
            }
        }
        for (name, (job, outcome)) in &self.unwritten {
            let memory = Remembered { job: job.clone(), outcome: Some(outcome.clone()), process: None };
            all.insert(name.clone(), memory);
        }
        Ok(all)
    }

    /// Does what is to be done now, and says when to look again even if nothing happens.
    async fn act(&mut self) -> Result<Option<Duration>, SpoolError> {
        let Some(agent) = &self.agent else { return Ok(None) };
        let wished = agent.spec.jobs.clone();
        let status = agent.status.clone().unwrap_or_default();
        let knows = &status.jobs;
        let mut remembered = self.remembered()?;
        let actions = decide(&wished, &remembered, Timestamp::now());
        let is_changed = !actions.is_empty();
        for action in actions {
            match action {
                Action::Begin(name) => {
                    let job = wished.get(&name).or(remembered.get(&name).map(|memory| &memory.job));
                    if let Some(job) = job {
                        tracing::info!(job = name, function = job.function, "beginning a job");
                        if let Err(error) = self.begin(&name, job) {
                            self.refuse(&name, job, &error);
                        }
                    }
                }
                Action::Conclude(name, status) => {
                    tracing::warn!(job = name, why = status.error, "a job ends without a result");
                    let job = wished.get(&name).or(remembered.get(&name).map(|memory| &memory.job));
                    let Some(job) = job else { continue };
                    // A process that an earlier agent has started may not have said yet that it is there.
                    let mut hold = self.spool.hold(&name);
                    match &mut hold {
                        Ok(None) => continue,
                        Ok(Some(hold)) => {
                            if let Some(former) = hold.former() {
                                former.end_orphans().await;
                            }
                        }
                        // Nothing was begun.
                        Err(_) => {}
                    }
                    let written =
                        self.spool.begin(&name, job).and_then(|()| self.spool.ended(&name, &status));
                    if let Err(error) = written {
                        tracing::error!(
                            job = name,
                            error = sentence(&error),
                            "what became of a job was not written"
                        );
                        self.unwritten.insert(name, (job.clone(), status));
                    }
                }
                Action::Stop(name) => {
                    if let Some(process) = remembered.get(&name).and_then(|memory| memory.process) {
                        tracing::warn!(job = name, pid = process.pid, "ending a cancelled job");
                        stop(process).await;
                    }
                }
            }
        }
        if is_changed {
            remembered = self.remembered()?;
        }
        let is_wished = |name: &str| wished.contains_key(name);
        let report = report(knows, &remembered, &self.begun, is_wished, Timestamp::now());
        let mut news = self.looking.news(&status);
        if !report.jobs.is_empty() {
            news.status.insert("jobs".into(), report.jobs.into());
        }
        let told = self.tell(std::mem::take(&mut news.status)).await;
        if told.is_ok() {
            self.looking.is_told(news);
        }
        for name in &report.forget {
            self.spool.forget(name)?;
            self.unwritten.remove(name);
            self.begun.remove(name);
        }
        let is_busy = remembered.values().any(|memory| memory.outcome.is_none());
        let again = match told {
            Err(error) => {
                tracing::warn!(
                    error = sentence(&error),
                    "the API does not know yet what happened, trying again"
                );
                Some(AGAIN)
            }
            Ok(()) => is_busy.then_some(LOOK),
        };
        Ok(again.into_iter().chain(report.soon).chain(self.looking.look(is_busy)).min())
    }

    /// Begins the renewal of certificates when one is due, also while the API cannot be seen.
    fn renew(&mut self) {
        let now = Timestamp::now();
        let is_busy = self.renewal.as_ref().is_some_and(|name| self.mine.contains_key(name));
        if !self.renewals.begin(is_busy, now) {
            return;
        }
        let (name, job) = (renewal::job_name(now), renewal::job(now));
        tracing::info!(job = name, "certificates of this node are due, renewing them");
        let before = self.renewal.replace(name.clone());
        // Where the API cannot be seen, nobody will ever be told of the one before.
        let forgotten = match before.filter(|_| self.agent.is_none()) {
            Some(before) => self.spool.forget(&before),
            None => Ok(()),
        };
        if let Err(error) = forgotten.and_then(|()| self.begin(&name, &job)) {
            self.refuse(&name, &job, &error);
        }
    }

    /// Begins a job, which is on the disk before its process is there.
    fn begin(&mut self, name: &str, job: &Job) -> Result<(), SpoolError> {
        self.spool.begin(name, job)?;
        let mut child = match start(&self.config.command, name) {
            Ok(child) => child,
            Err(error) => {
                tracing::error!(job = name, %error, "the process of a job could not be started");
                return Ok(());
            }
        };
        self.begun.insert(name.to_owned(), Timestamp::now());
        if let Some(process) = child.id().and_then(Process::of) {
            self.mine.insert(name.to_owned(), process);
        }
        let (spool, name, job) = (self.spool.clone(), name.to_owned(), job.clone());
        self.children.spawn(async move {
            let unwritten = reap(&mut child, &spool, &name, &job).await;
            Reaped { name, unwritten: unwritten.map(|outcome| (job, outcome)) }
        });
        Ok(())
    }

    /// A job that the disk does not take is not begun, and whoever wished it is told.
    fn refuse(&mut self, name: &str, job: &Job, error: &SpoolError) {
        let why = coded_sentence(error);
        tracing::error!(job = name, error = why, "a job cannot be begun");
        let outcome = concluded(job, JobState::Refused, &why, Timestamp::now());
        self.unwritten.insert(name.to_owned(), (job.clone(), outcome));
    }

    /// Tells the API what it does not know.
    async fn tell(&mut self, mut status: Map<String, Value>) -> Result<(), FleetError> {
        if !self.has_introduced_itself {
            status.insert("version".into(), VERSION.into());
            status.insert("started".into(), json!(self.started));
            status.insert("grains".into(), self.config.grains.clone());
        }
        if status.is_empty() {
            return Ok(());
        }
        let agent = self.fleet.tell_status(&self.config.node, &status.into()).await?;
        self.has_introduced_itself = true;
        self.agent = Some(agent);
        Ok(())
    }
}

/// Waits for the end of a job's process. One that ended without a word is not tried again: it would end so again.
/// Returns what became of it where the disk does not take that.
async fn reap(child: &mut Child, spool: &Spool, name: &str, job: &Job) -> Option<JobStatus> {
    let process = child.id().and_then(Process::of);
    let ended = match child.wait().await {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    // Either it told the outcome, or left the job to another process, which an earlier agent has started.
    if let Ok(Some(Remembered { outcome, process, .. })) = spool.get(name)
        && (outcome.is_some() || process.is_some())
    {
        return None;
    }
    // Whoever is told may begin the same again, beside what is left of it.
    if let Some(process) = process {
        process.end_orphans().await;
    }
    let why = format!("its process ended without a result: {ended}");
    tracing::warn!(job = name, why, "a job was interrupted");
    let outcome = concluded(job, JobState::Interrupted, &why, Timestamp::now());
    let error = spool.ended(name, &outcome).err()?;
    let error = coded_sentence(&error);
    tracing::error!(job = name, error, "what became of a job could not be written down");
    Some(JobStatus { error: Some(format!("{why}; {error}")), ..outcome })
}

/// Ends a job's process with all that it started: asked first, then not.
async fn stop(process: Process) {
    for end in [Process::ask_to_end, Process::end] {
        if let Err(error) = end(process) {
            tracing::warn!(pid = process.pid, %error, "a process could not be ended");
        }
        for _ in 0..50 {
            if !process.is_alive() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
