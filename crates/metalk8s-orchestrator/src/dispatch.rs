//! Jobs for nodes: given to their agents, and what comes back.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use metalk8s_engine::journal::RunId;
use metalk8s_kube::fleet::{FleetError, Follow, Seen};
use metalk8s_saltcompat::{PING, must_not_be_repeated};
use metalk8s_types::fleet::{Agent, Job, JobStatus};
use tokio::time::{Instant, sleep, timeout_at};

use crate::bus::Bus;

mod job;
mod to_bootstrap;

pub use job::{JobError, job};
pub(crate) use to_bootstrap::dispatch_to_bootstrap;
pub use to_bootstrap::{ToBootstrapError, only_answer};

/// How many agents are given a job at the same time.
const AT_ONCE: usize = 32;
/// How many jobs of an agent are over before they are taken away, so that not every job costs two writes.
const OLD_AT_ONCE: usize = 4;
/// How long after its end a job can be looked up at most; Salt's `keep_jobs_seconds` is as long.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24);
/// How long, and how often, a job that nobody waits for is offered to an API that does not take it.
const OFFERED: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(1);

/// A call of a function, before it has a name.
#[derive(Debug, Clone)]
pub struct Call {
    /// Such as `state.apply`.
    pub function: String,
    /// The words after it.
    pub arguments: Vec<String>,
    /// Whether it must not be begun twice.
    pub once: bool,
    /// How long an agent has to begin it.
    pub begin_within: Duration,
    /// How long it may take.
    pub timeout: Duration,
}

/// A job that was given to nodes, while its answers come.
pub struct Dispatched {
    /// Its name.
    pub id: String,
    /// Nodes that have not answered yet.
    pub waiting: BTreeSet<String>,
    /// Nodes that have begun it.
    pub running: BTreeSet<String>,
    /// Nodes that could not be given the job, and why.
    pub refused: BTreeMap<String, FleetError>,
    answers: Follow<Agent>,
}

impl Call {
    /// A call that is begun within half a minute or not at all, and once where a second time could do harm.
    pub fn new<S: Into<String>>(
        function: impl Into<String>,
        arguments: impl IntoIterator<Item = S>,
        timeout: Duration,
    ) -> Self {
        let function = function.into();
        Self {
            once: must_not_be_repeated(&function),
            function,
            arguments: arguments.into_iter().map(Into::into).collect(),
            begin_within: Duration::from_secs(30),
            timeout,
        }
    }

    /// The question whether an agent is there, which has `patience` to begin and as much to answer.
    pub fn ping(patience: Duration) -> Self {
        Self { begin_within: patience, ..Self::new(PING, [""; 0], patience) }
    }
}

/// Gives a job to these nodes.
pub async fn dispatch(bus: &dyn Bus, nodes: &BTreeSet<String>, call: &Call) -> Dispatched {
    dispatch_as(bus, new_id(), nodes, call).await
}

/// A name for a job: 20 digits of this moment.
pub fn new_id() -> String {
    RunId::at(Timestamp::now()).to_string()
}

/// Gives a job of this name, which no job has had, to these nodes.
pub async fn dispatch_as(bus: &dyn Bus, id: String, nodes: &BTreeSet<String>, call: &Call) -> Dispatched {
    let now = Timestamp::now();
    let job = Job {
        function: call.function.clone(),
        arguments: call.arguments.clone(),
        once: call.once,
        expires: now + SignedDuration::try_from(call.begin_within).unwrap_or(SignedDuration::from_mins(1)),
        timeout_seconds: u32::try_from(call.timeout.as_secs()).unwrap_or(u32::MAX),
        cancelled: false,
    };
    let one = nodes.iter().next().filter(|_| nodes.len() == 1).map(String::as_str);
    let give = async |node: String| {
        let jobs = BTreeMap::from([(id.clone(), Some(job.clone()))]);
        let given = give(bus, &node, jobs, now).await;
        (node, given)
    };
    let mut rest = nodes.iter().cloned();
    // Nobody answers before the first one is given the job, so what all of them were before need not be asked for.
    let first = match rest.next() {
        Some(node) => Some(give(node).await),
        None => None,
    };
    let version = first.as_ref().and_then(|(_, given)| given.as_ref().ok()?.clone());
    let answers = match version {
        Some(version) => bus.follow_agents_after(one, version),
        None => bus.follow_agents(one),
    };
    let given: Vec<_> = stream::iter(rest).map(give).buffer_unordered(AT_ONCE).collect().await;
    let mut dispatched = Dispatched {
        id,
        waiting: BTreeSet::new(),
        running: BTreeSet::new(),
        refused: BTreeMap::new(),
        answers,
    };
    for (node, given) in first.into_iter().chain(given) {
        match given {
            Ok(_) => drop(dispatched.waiting.insert(node)),
            Err(error) => drop(dispatched.refused.insert(node, error)),
        }
    }
    dispatched
}

/// Leaves a job with these nodes for which nobody waits: an agent that is away finds it when it is there again. What
/// the API does not take for now is offered again, for a minute.
///
/// # Errors
/// When a node could not be given the job, other than because it has left the fleet.
pub async fn leave(bus: &dyn Bus, nodes: &BTreeSet<String>, call: &Call) -> Result<(), FleetError> {
    let end = Instant::now() + OFFERED;
    let mut nodes = nodes.clone();
    loop {
        let mut refused = dispatch(bus, &nodes, call).await.refused;
        refused.retain(|_, error| !error.is_not_found());
        nodes = refused.keys().cloned().collect();
        let is_passing = |error: &FleetError| error.is_retryable() || error.is_forbidden();
        let is_late = Instant::now() > end;
        if let Some(error) = refused.into_values().find(|error| is_late || !is_passing(error)) {
            return Err(error);
        }
        if nodes.is_empty() {
            return Ok(());
        }
        sleep(AGAIN).await;
    }
}

/// Takes away jobs that nobody looks up any more, of all agents.
///
/// # Errors
/// When the API cannot be asked.
pub async fn forget_old(bus: &dyn Bus) -> Result<(), FleetError> {
    let now = Timestamp::now();
    for agent in bus.agents().await? {
        let old: BTreeMap<String, Option<Job>> =
            outlived(&agent, now).into_iter().map(|name| (name, None)).collect();
        if let Some(node) = agent.metadata.name.filter(|_| !old.is_empty()) {
            bus.give_jobs(&node, &old).await?;
        }
    }
    Ok(())
}

/// The jobs of an agent that ended too long ago to be looked up, or came too late that long ago. Pure.
fn outlived(agent: &Agent, now: Timestamp) -> Vec<String> {
    let is_old = |name: &String, job: &Job| {
        let known = agent.status.as_ref().and_then(|status| status.jobs.get(name));
        let since = match known {
            Some(status) if status.state.is_final() => status.finished.unwrap_or(status.started),
            Some(_) => return false,
            None => job.expires,
        };
        now.duration_since(since) > KEPT_FOR
    };
    let jobs = agent.spec.jobs.iter().filter(|(name, job)| is_old(name, job));
    jobs.map(|(name, _)| name.clone()).collect()
}

/// Gives the job, and takes away those that are over. Returns the version of the agent that has the job.
async fn give(
    bus: &dyn Bus,
    node: &str,
    jobs: BTreeMap<String, Option<Job>>,
    now: Timestamp,
) -> Result<Option<String>, FleetError> {
    let agent = bus.give_jobs(node, &jobs).await?;
    let over = over(&agent, now);
    if !over.is_empty() {
        bus.give_jobs(node, &over.into_iter().map(|name| (name, None)).collect()).await?;
    }
    Ok(agent.metadata.resource_version)
}

/// The jobs of an agent that nobody will ask for any more; none as long as there are few of them.
fn over(agent: &Agent, now: Timestamp) -> Vec<String> {
    let is_done = |name: &String| {
        let known = agent.status.as_ref().and_then(|status| status.jobs.get(name));
        known.is_some_and(|status| status.state.is_final())
    };
    let is_over = |name: &String, job: &Job| {
        // Whoever waits for the answer of a job finds it in what the agent tells.
        (is_done(name) && job.expires < now)
            || now.duration_since(job.expires) > SignedDuration::from_hours(1)
    };
    let jobs = agent.spec.jobs.iter().filter(|(name, job)| is_over(name, job));
    let over: Vec<String> = jobs.map(|(name, _)| name.clone()).collect();
    if over.len() >= OLD_AT_ONCE { over } else { Vec::new() }
}

impl Dispatched {
    /// The next answer that comes before `end`; `None` when there are none left, or it is too late.
    pub async fn next(&mut self, end: Instant) -> Option<(String, JobStatus)> {
        while !self.waiting.is_empty() {
            match timeout_at(end, self.answers.recv()).await {
                Ok(Some(Seen::There(agent))) => {
                    let node = agent.metadata.name.clone().unwrap_or_default();
                    let mut jobs = agent.status.map(|status| status.jobs).unwrap_or_default();
                    if self.waiting.contains(&node)
                        && let Some(status) = jobs.remove(&self.id)
                    {
                        if status.state.is_final() {
                            self.waiting.remove(&node);
                            return Some((node, status));
                        }
                        self.running.insert(node);
                    }
                }
                Ok(Some(Seen::Gone(_) | Seen::Complete)) => {}
                Ok(Some(Seen::Blind(why))) => {
                    tracing::warn!(error = why, "answers cannot be seen, trying again")
                }
                Ok(None) | Err(_) => return None,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// An agent with so many jobs that expired some minutes ago, of which one is not done.
    fn agent(jobs: usize, minutes: i64, now: Timestamp) -> Agent {
        let expires = now - SignedDuration::from_mins(minutes);
        let names: Vec<String> = (0..jobs).map(|number| format!("2026010100000000000{number}")).collect();
        let job = json!({"function": "test.ping", "expires": expires, "timeoutSeconds": 1});
        let done = json!({"state": "Done", "function": "test.ping", "started": expires}).to_string().into();
        let all = |value: &Value| {
            names.iter().map(|name| (name.clone(), value.clone())).collect::<BTreeMap<_, _>>()
        };
        let mut status = all(&done);
        status.insert(
            names[0].clone(),
            json!({"state": "Running", "function": "test.ping", "started": expires}).to_string().into(),
        );
        serde_json::from_value(json!({
            "apiVersion": "fleet.metalk8s.scality.com/v1alpha1", "kind": "Agent", "metadata": {"name": "n"},
            "spec": {
                "version": "1",
                "addresses": {"controlPlane": "10.0.0.1", "workloadPlane": "10.0.0.1"},
                "jobs": all(&job),
            },
            "status": {"version": "1", "started": expires, "jobs": status},
        }))
        .unwrap()
    }

    #[test]
    fn jobs_that_are_over_are_taken_away_some_at_a_time() {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24);
        assert!(over(&agent(OLD_AT_ONCE, 1, now), now).is_empty(), "one of them runs still");
        let taken = over(&agent(OLD_AT_ONCE + 1, 1, now), now);
        assert_eq!(taken.len(), OLD_AT_ONCE);
        assert!(!taken.contains(&"20260101000000000000".to_owned()), "it runs still");
        assert!(over(&agent(OLD_AT_ONCE + 1, -1, now), now).is_empty(), "somebody may still wait for them");
        assert_eq!(over(&agent(OLD_AT_ONCE, 61, now), now).len(), OLD_AT_ONCE, "nobody waits for so long");
    }

    #[test]
    fn a_day_after_its_end_the_last_job_goes_too() {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(48);
        let day = 24 * 60;
        assert!(outlived(&agent(3, day, now), now).is_empty());
        let old = outlived(&agent(3, day + 1, now), now);
        assert_eq!(old, ["20260101000000000001", "20260101000000000002"], "the first one runs still");
        let mut silent = agent(1, day + 1, now);
        silent.status = None;
        assert_eq!(outlived(&silent, now).len(), 1, "it came too late");
    }
}
