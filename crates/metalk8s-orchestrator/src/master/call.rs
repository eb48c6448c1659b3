//! The functions of the master itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use metalk8s_diagnostics::{Code, Diagnose, Hint, explain};
use metalk8s_kube::fleet::FleetError;
use metalk8s_saltcompat::{
    Target, matching,
    output::Answer,
    runner::{self, Job, RunnerCall},
};
use metalk8s_types::{VERSION, fleet::Agent};
use serde_json::{Value, json};

use super::{Answers, Orchestration, OrchestrationError, jobs, minions, name};
use crate::{
    bus::Bus,
    dispatch::{Call, Dispatched, ToBootstrapError, dispatch, dispatch_to_bootstrap},
};

/// What a function of the master brings.
pub enum Told {
    /// A value.
    Value(Value),
    /// What minions returned.
    Answers(BTreeMap<String, Answer>),
    /// A procedure that was begun.
    Begun(Box<Orchestration>),
    /// States that were given to the agent of the master's machine.
    Given(Box<Dispatched>),
}

/// Why a function of the master brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallMasterError {
    /// The bus.
    #[error(transparent)]
    Bus(#[from] FleetError),
    /// A procedure was not begun.
    #[error(transparent)]
    Orchestration(#[from] OrchestrationError),
    /// States were given to nobody.
    #[error(transparent)]
    ToBootstrap(#[from] ToBootstrapError),
    /// Somebody was waited for in vain.
    #[error("these minions do not answer: {}", .minions.join(", "))]
    Away {
        /// Who.
        minions: Vec<String>,
    },
}

impl Diagnose for CallMasterError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Bus(error) => error.code(),
            Self::Orchestration(error) => error.code(),
            Self::ToBootstrap(error) => error.code(),
            Self::Away { .. } => Some(explain::AGENT_SILENT),
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Orchestration(error) => error.hints(),
            Self::Bus(_) | Self::ToBootstrap(_) | Self::Away { .. } => Vec::new(),
        }
    }
}

/// Does what is asked of the master. Minions that are asked whether they are there have `patience` to answer.
///
/// # Errors
/// When the API cannot be asked, a procedure is not accepted, or minions that were waited for stay away.
pub async fn call(bus: &dyn Bus, call: RunnerCall, patience: Duration) -> Result<Told, CallMasterError> {
    let find = |jobs: &[Job], jid: &str| jobs.iter().find(|job| job.jid == jid).cloned();
    Ok(Told::Value(match call {
        RunnerCall::Orchestrate(wanted) => {
            return Ok(Told::Begun(Box::new(Orchestration::begin(bus, &wanted).await?)));
        }
        RunnerCall::States(states) => {
            return Ok(Told::Given(Box::new(dispatch_to_bootstrap(bus, &states, patience).await?)));
        }
        RunnerCall::Lookup { jid, missing } => {
            let job = find(&jobs(bus).await?, &jid);
            return Ok(Told::Answers(runner::lookup(job.as_ref(), missing)));
        }
        RunnerCall::Minions(which, target) => {
            let agents = bus.agents().await?;
            let asked = matching(&target, minions(&agents));
            let there = if which.are_asked() {
                answering(bus, &asked, patience).await
            } else {
                connected(&agents, &asked)
            };
            let away = asked.difference(&there).cloned().collect();
            which.told(there.into_iter().collect(), away)
        }
        RunnerCall::Versions => versions(bus, patience).await?,
        RunnerCall::ListJobs(filter) => runner::list_jobs(&jobs(bus).await?, &filter),
        RunnerCall::LastRun(filter) => runner::last_run(&jobs(bus).await?, &filter),
        RunnerCall::ListJob(jid) => runner::list_job(&jid, find(&jobs(bus).await?, &jid).as_ref()),
        RunnerCall::PrintJob(jid) => runner::print_job(&jid, find(&jobs(bus).await?, &jid).as_ref()),
        RunnerCall::ActiveJobs => runner::active(&jobs(bus).await?),
        RunnerCall::SyncAll { saltenv: _ } => runner::synced(),
        RunnerCall::SyncRoster | RunnerCall::SyncAuth => json!([]),
        RunnerCall::WaitMinions { target, retry } => wait_minions(bus, &target, retry, patience).await?,
        RunnerCall::Answer(value) => value,
    }))
}

async fn versions(bus: &dyn Bus, patience: Duration) -> Result<Value, FleetError> {
    let agents = bus.agents().await?;
    let asked = agents.iter().map(|agent| name(agent).to_owned()).collect();
    let there = answering(bus, &asked, patience).await;
    let version = |agent: &Agent| agent.status.as_ref().map(|status| status.version.clone());
    let found: Vec<(String, Option<String>)> = agents
        .iter()
        .map(|agent| (name(agent).to_owned(), version(agent).filter(|_| there.contains(name(agent)))))
        .collect();
    Ok(runner::versions(VERSION, found.iter().map(|(name, version)| (name.as_str(), version.as_deref()))))
}

/// Those that answer a ping in time.
async fn answering(bus: &dyn Bus, asked: &BTreeSet<String>, patience: Duration) -> BTreeSet<String> {
    let mut answers = Answers::new(dispatch(bus, asked, &Call::ping(patience)).await, patience);
    let mut there = BTreeSet::new();
    while let Some((minion, answer)) = answers.next().await {
        if answer.is_returned() {
            there.insert(minion);
        }
    }
    there
}

/// Those that have introduced themselves; nobody is asked whether they are there still.
fn connected(agents: &[Agent], asked: &BTreeSet<String>) -> BTreeSet<String> {
    let is_known = |agent: &&Agent| agent.status.is_some() && asked.contains(name(agent));
    agents.iter().filter(is_known).map(|agent| name(agent).to_owned()).collect()
}

async fn wait_minions(
    bus: &dyn Bus,
    target: &Target,
    retry: u32,
    patience: Duration,
) -> Result<Value, CallMasterError> {
    let mut away = BTreeSet::new();
    for _ in 0..retry.max(1) {
        let agents = bus.agents().await?;
        let asked = matching(target, minions(&agents));
        let there = answering(bus, &asked, patience).await;
        away = asked.difference(&there).cloned().collect();
        if away.is_empty() {
            return Ok("All minions matching target are available".into());
        }
    }
    Err(CallMasterError::Away { minions: away.into_iter().collect() })
}
