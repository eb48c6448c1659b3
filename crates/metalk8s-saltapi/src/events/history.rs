//! What changed since the last look, as events.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use metalk8s_orchestrator::master::{answer, name, outcome};
use metalk8s_saltcompat::{
    api::{
        Event,
        event::{Called, orchestration},
    },
    output::Answer,
};
use metalk8s_types::fleet::{Agent, Run, StepState};

use super::Events;

/// What was there at the last look. Nothing is told of what was there before the first one.
#[derive(Default)]
pub(super) struct History {
    agents: BTreeMap<String, Known>,
    runs: BTreeMap<String, KnownRun>,
    agents_complete: bool,
    runs_complete: bool,
}

#[derive(Default)]
struct Known {
    started: Option<Timestamp>,
    given: BTreeSet<String>,
    ended: BTreeSet<String>,
}

#[derive(Default, Clone, Copy)]
struct KnownRun {
    is_over: bool,
    /// How many of its steps ended.
    ended: usize,
}

impl History {
    pub(super) fn is_complete(&self) -> bool {
        self.agents_complete && self.runs_complete
    }

    pub(super) fn agents_complete(&mut self) {
        self.agents_complete = true;
    }

    pub(super) fn runs_complete(&mut self) {
        self.runs_complete = true;
    }

    pub(super) fn agent_gone(&mut self, name: &str) {
        self.agents.remove(name);
    }

    pub(super) fn run_gone(&mut self, name: &str) {
        self.runs.remove(name);
    }

    pub(super) fn agent(&mut self, agent: &Agent, events: &Events) {
        let minion = name(agent).to_owned();
        let status = agent.status.clone().unwrap_or_default();
        let known = self.agents.entry(minion.clone()).or_default();
        let before = std::mem::replace(
            known,
            Known {
                started: status.started,
                given: agent.spec.jobs.keys().cloned().collect(),
                ended: status
                    .jobs
                    .iter()
                    .filter(|(_, job)| job.state.is_final())
                    .map(|(jid, _)| jid.clone())
                    .collect(),
            },
        );
        if !self.agents_complete {
            for jid in &known.given {
                events.is_new(jid);
            }
            return;
        }
        if let Some(started) = status.started.filter(|_| status.started != before.started) {
            events.publish(&Event::started(&minion, started));
        }
        for jid in known.given.difference(&before.given) {
            let job = &agent.spec.jobs[jid];
            let called = Called { jid, function: &job.function, words: &job.arguments, at: Timestamp::now() };
            events.announce(jid, &Event::job_new(called, std::slice::from_ref(&minion)));
        }
        for jid in known.ended.difference(&before.ended) {
            let Some(job) = status.jobs.get(jid) else { continue };
            let words = agent.spec.jobs.get(jid).map(|job| job.arguments.as_slice()).unwrap_or_default();
            let at = job.finished.unwrap_or_else(Timestamp::now);
            let called = Called { jid, function: &job.function, words, at };
            if let Answer::Returned(returned) = answer(job.clone()) {
                events.publish(&Event::job_returned(called, &minion, &returned));
            }
        }
    }

    pub(super) fn run(&mut self, run: &Run, events: &Events) {
        let Some(jid) = run.metadata.name.as_deref() else { return };
        let status = run.status.clone().unwrap_or_default();
        let now = KnownRun {
            is_over: status.phase.is_final(),
            ended: status.steps.iter().filter(|step| step.state != StepState::Running).count(),
        };
        let before = self.runs.insert(jid.to_owned(), now);
        if !self.runs_complete {
            return;
        }
        let (function, words) = orchestration(&run.spec.procedure);
        let called = Called { jid, function, words: &words, at: Timestamp::now() };
        if before.is_none() {
            events.publish(&Event::run_new(called));
        }
        let before = before.unwrap_or_default();
        let is_over_now = now.is_over && !before.is_over;
        if now.ended <= before.ended && !is_over_now {
            return;
        }
        let (returned, success) = outcome(run);
        for step in Event::steps_ended(called, &returned, before.ended) {
            events.publish(&step);
        }
        if is_over_now {
            events.publish(&Event::run_returned(called, &returned, success));
        }
    }
}
