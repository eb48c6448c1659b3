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
use metalk8s_types::fleet::{Agent, Run};

use super::Events;

/// What was there at the last look. Nothing is told of what was there before the first one.
#[derive(Default)]
pub(super) struct History {
    agents: BTreeMap<String, Known>,
    /// Runs, and whether they are over.
    runs: BTreeMap<String, bool>,
    agents_complete: bool,
    runs_complete: bool,
}

#[derive(Default)]
struct Known {
    started: Option<Timestamp>,
    given: BTreeSet<String>,
    ended: BTreeSet<String>,
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
        let is_over = run.status.as_ref().is_some_and(|status| status.phase.is_final());
        let before = self.runs.insert(jid.to_owned(), is_over);
        if !self.runs_complete {
            return;
        }
        let (function, words) = orchestration(&run.spec.procedure);
        let called = Called { jid, function, words: &words, at: Timestamp::now() };
        if before.is_none() {
            events.publish(&Event::run_new(called));
        }
        if is_over && before != Some(true) {
            let (returned, success) = outcome(run);
            events.publish(&Event::run_returned(called, &returned, success));
        }
    }
}
