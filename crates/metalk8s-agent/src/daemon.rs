//! The daemon: follows its own object, starts and ends processes, tells what became of jobs.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, time::Duration};

use jiff::Timestamp;
use metalk8s_diagnostics::sentence;
use metalk8s_kube::{
    Fleet,
    fleet::{FleetError, Seen},
};
use metalk8s_pki::Life;
use metalk8s_types::{
    VERSION,
    fleet::{Agent, Drift, JobState},
};
use serde_json::{Map, Value, json};
use tokio::{process::Child, task::JoinSet};

use crate::{
    decide::{Action, concluded, decide},
    drift::{self, Schedule},
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

/// How long a look at the node may take.
const LONGEST_LOOK: Duration = Duration::from_secs(600);

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

/// Serves until `shutdown` ends. Jobs that are being carried out go on without it.
///
/// # Errors
/// When the disk is of no use.
pub async fn serve(config: AgentConfig, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
    let mut daemon = Daemon {
        spool: Spool::open(&config.spool)?,
        fleet: Fleet::lazy(&config.kubeconfig),
        started: Timestamp::now(),
        schedule: Schedule::new(&config.node, config.looks.every, Timestamp::now()),
        looking: JoinSet::new(),
        told: None,
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
        daemon.renew()?;
        let again = daemon.act().await?;
        tokio::select! {
            () = &mut shutdown => {
                tracing::info!("the agent ends");
                return Ok(());
            }
            Some(seen) = events.recv() => daemon.see(seen),
            Some(ended) = daemon.children.join_next() => daemon.reaped(ended.ok()),
            Some(_) = daemon.looking.join_next() => {
                let seen = drift::seen(&daemon.config.looks.seen);
                daemon.schedule.ended(seen.as_ref(), Timestamp::now());
            }
            () = tokio::time::sleep(again.unwrap_or(LOOK)), if again.is_some() => {}
            () = tokio::time::sleep(daemon.renewals.wait(Timestamp::now())) => {}
        }
    }
}

struct Daemon {
    config: AgentConfig,
    spool: Spool,
    fleet: Fleet,
    started: Timestamp,
    schedule: Schedule,
    /// The look that is being taken.
    looking: JoinSet<()>,
    /// What was told last of a look.
    told: Option<Drift>,
    /// What the API said last.
    agent: Option<Agent>,
    /// When jobs were begun by this process.
    begun: BTreeMap<String, Timestamp>,
    /// Each ends with a process that this one has started, and gives the name of its job.
    children: JoinSet<String>,
    /// Those of them that have not ended, or whose outcome has not been looked at.
    mine: BTreeMap<String, Process>,
    has_introduced_itself: bool,
    renewals: Renewals,
    /// The job that renews certificates, the last one.
    renewal: Option<String>,
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

    fn reaped(&mut self, name: Option<String>) {
        match name {
            Some(name) => {
                self.mine.remove(&name);
                let function = self.spool.get(&name).ok().flatten().map(|memory| memory.job.function);
                if function.is_some_and(|function| (self.config.looks.after)(&function)) {
                    self.schedule.changed(Timestamp::now());
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
        Ok(all)
    }

    /// Does what is to be done now, and says when to look again even if nothing happens.
    async fn act(&mut self) -> Result<Option<Duration>, SpoolError> {
        let Some(agent) = &self.agent else { return Ok(None) };
        let wished = agent.spec.jobs.clone();
        let status = agent.status.clone().unwrap_or_default();
        let knows = &status.jobs;
        let mut remembered = self.remembered()?;
        for action in decide(&wished, &remembered, Timestamp::now()) {
            match action {
                Action::Begin(name) => {
                    let job = wished.get(&name).or(remembered.get(&name).map(|memory| &memory.job));
                    if let Some(job) = job {
                        tracing::info!(job = name, function = job.function, "beginning a job");
                        self.spool.begin(&name, job)?;
                        self.begin(&name)?;
                    }
                }
                Action::Conclude(name, status) => {
                    tracing::warn!(job = name, why = status.error, "a job ends without a result");
                    if let Some(job) = wished.get(&name) {
                        self.spool.begin(&name, job)?;
                    }
                    self.spool.ended(&name, &status)?;
                }
                Action::Stop(name) => {
                    if let Some(process) = remembered.get(&name).and_then(|memory| memory.process) {
                        tracing::warn!(job = name, pid = process.pid, "ending a cancelled job");
                        stop(process).await;
                    }
                }
            }
        }
        remembered = self.remembered()?;
        let is_wished = |name: &str| wished.contains_key(name);
        let report = report(knows, &remembered, &self.begun, is_wished, Timestamp::now());
        let seen = drift::seen(&self.config.looks.seen).filter(|seen| self.told.as_ref() != Some(seen));
        let mut news = seen.as_ref().map(|seen| drift::report(&status, seen)).unwrap_or_default();
        if !report.jobs.is_empty() {
            news.insert("jobs".into(), report.jobs.into());
        }
        let told = self.tell(news).await;
        if told.is_ok() {
            self.told = seen.or(self.told.take());
        }
        for name in &report.forget {
            self.spool.forget(name)?;
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
        Ok(again.into_iter().chain(self.look(is_busy)).min())
    }

    /// Has the node compared with what it shall be, when it is time; says how long that is until then.
    fn look(&mut self, is_busy: bool) -> Option<Duration> {
        let now = Timestamp::now();
        if !self.looking.is_empty() {
            return None;
        }
        if self.schedule.is_due(now, is_busy) {
            self.schedule.begun(now);
            match start(&self.config.looks.command, &self.config.node) {
                Ok(child) => drop(self.looking.spawn(looked(child))),
                Err(error) => tracing::error!(%error, "the process of a look could not be started"),
            }
        }
        // While jobs are carried out, their ends wake the agent.
        self.schedule.wait(now).filter(|wait| !(is_busy && wait.is_zero()))
    }

    /// Begins the renewal of certificates when one is due, also while the API cannot be seen.
    fn renew(&mut self) -> Result<(), SpoolError> {
        let now = Timestamp::now();
        let is_busy = self.renewal.as_ref().is_some_and(|name| self.mine.contains_key(name));
        if !self.renewals.begin(is_busy, now) {
            return Ok(());
        }
        if self.agent.is_none()
            && let Some(before) = self.renewal.take()
        {
            // Nobody will ever be told of it.
            self.spool.forget(&before)?;
        }
        let name = renewal::job_name(now);
        tracing::info!(job = name, "certificates of this node are due, renewing them");
        self.spool.begin(&name, &renewal::job(now))?;
        self.begin(&name)?;
        self.renewal = Some(name);
        Ok(())
    }

    fn begin(&mut self, name: &str) -> Result<(), SpoolError> {
        let mut child = match start(&self.config.command, name) {
            Ok(child) => child,
            Err(error) => {
                tracing::error!(job = name, %error, "the process of a job could not be started");
                return Ok(());
            }
        };
        self.begun.insert(name.to_owned(), Timestamp::now());
        if let Some(process) = child.id().and_then(Process::of) {
            self.spool.is_run_by(name, process)?;
            self.mine.insert(name.to_owned(), process);
        }
        let (spool, name) = (self.spool.clone(), name.to_owned());
        self.children.spawn(async move {
            reap(&mut child, &spool, &name).await;
            name
        });
        Ok(())
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

/// Waits for the end of a look.
async fn looked(mut child: Child) {
    match tokio::time::timeout(LONGEST_LOOK, child.wait()).await {
        Ok(Ok(status)) if status.success() => {}
        Ok(Ok(status)) => tracing::warn!(%status, "a look at the node failed"),
        Ok(Err(error)) => tracing::warn!(%error, "a look at the node cannot be waited for"),
        Err(_) => {
            tracing::warn!(
                seconds = LONGEST_LOOK.as_secs(),
                "a look at the node takes too long and is ended"
            );
            let _ = child.kill().await;
        }
    }
}

/// Waits for the end of a job's process. One that ended without a word is not tried again: it would end so again.
async fn reap(child: &mut Child, spool: &Spool, name: &str) {
    let ended = match child.wait().await {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    let concluded = match spool.get(name) {
        Ok(Some(Remembered { job, outcome: None, .. })) => {
            let why = format!("its process ended without a result: {ended}");
            tracing::warn!(job = name, why, "a job was interrupted");
            spool.ended(name, &concluded(&job, JobState::Interrupted, &why, Timestamp::now()))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = concluded {
        tracing::error!(job = name, %error, "what became of a job could not be written down");
    }
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
