//! Jobs as agents remember them, and procedures, which are jobs of the master.

use std::collections::BTreeMap;

use jiff::Timestamp;
use metalk8s_kube::fleet::FleetError;
use metalk8s_saltcompat::{
    Returned, TargetKind,
    api::{
        Event,
        event::{Called, orchestration},
    },
    output::{Answer, MASTER},
    runner::Job,
};
use metalk8s_types::fleet::{Agent, JobState, Run};
use serde_json::{Value, json};

use super::{answer, name, outcome};
use crate::bus::Bus;

/// All jobs that are remembered, the oldest first.
///
/// # Errors
/// When the API cannot be asked.
pub async fn jobs(bus: &dyn Bus) -> Result<Vec<Job>, FleetError> {
    let mut jobs = jobs_of(&bus.agents().await?);
    jobs.extend(bus.runs().await?.iter().filter_map(job_of));
    jobs.sort_by(|one, other| one.jid.cmp(&other.jid));
    Ok(jobs)
}

/// A procedure as a job of the master.
fn job_of(run: &Run) -> Option<Job> {
    let jid = run.metadata.name.clone()?;
    let (function, words) = orchestration(&run.spec.procedure);
    let status = run.status.clone().unwrap_or_default();
    let (mut returned, mut running) = (BTreeMap::new(), BTreeMap::new());
    if status.phase.is_final() {
        let (value, success) = outcome(run);
        let at = status.finished.unwrap_or(Timestamp::UNIX_EPOCH);
        let called = Called { jid: &jid, function, words: &words, at };
        let value = Event::run_returned(called, &value, success).data;
        let retcode = u8::from(!success);
        returned.insert(MASTER.to_owned(), Returned::from_parts(value, retcode, None));
    } else {
        running.insert(MASTER.to_owned(), None);
    }
    Some(Job {
        function: format!("runner.{function}"),
        arguments: words.into_iter().map(Value::from).collect(),
        target: "unknown-target".to_owned(),
        target_kind: TargetKind::List,
        user: "root".to_owned(),
        minions: vec![MASTER.to_owned()],
        metadata: None,
        returned,
        running,
        jid,
    })
}

/// The jobs that these agents remember.
fn jobs_of(agents: &[Agent]) -> Vec<Job> {
    let mut jobs = BTreeMap::<String, Job>::new();
    for agent in agents {
        let minion = name(agent).to_owned();
        let arguments = |jid: &str| {
            let job = agent.spec.jobs.get(jid);
            job.map(|job| job.arguments.iter().map(|word| json!(word)).collect()).unwrap_or_default()
        };
        for (jid, status) in agent.status.iter().flat_map(|status| &status.jobs) {
            let job = jobs.entry(jid.clone()).or_insert_with(|| Job {
                jid: jid.clone(),
                function: status.function.clone(),
                arguments: arguments(jid),
                target: String::new(),
                target_kind: TargetKind::List,
                user: "root".to_owned(),
                minions: Vec::new(),
                metadata: None,
                returned: BTreeMap::new(),
                running: BTreeMap::new(),
            });
            job.minions.push(minion.clone());
            if status.state == JobState::Running {
                job.running.insert(minion.clone(), None);
            } else if let Answer::Returned(returned) = answer(status.clone()) {
                job.returned.insert(minion.clone(), returned);
            }
        }
    }
    let with_target = |mut job: Job| {
        job.target = job.minions.join(",");
        job
    };
    jobs.into_values().map(with_target).collect()
}
