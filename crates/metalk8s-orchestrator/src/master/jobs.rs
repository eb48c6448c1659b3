//! Jobs as agents remember them.

use std::collections::BTreeMap;

use metalk8s_kube::fleet::FleetError;
use metalk8s_saltcompat::{TargetKind, output::Answer, runner::Job};
use metalk8s_types::fleet::{Agent, JobState};
use serde_json::json;

use super::{answer, name};
use crate::bus::Bus;

/// All jobs that are remembered, the oldest first.
///
/// # Errors
/// When the API cannot be asked.
pub async fn jobs(bus: &dyn Bus) -> Result<Vec<Job>, FleetError> {
    Ok(jobs_of(&bus.agents().await?))
}

/// The jobs that these agents remember, the oldest first.
pub fn jobs_of(agents: &[Agent]) -> Vec<Job> {
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
