//! The runs of a fleet, which are objects of the API, in the same shape as those of a machine.

use std::collections::BTreeSet;

use jiff::Timestamp;
use metalk8s_engine::journal::RunId;
use metalk8s_kube::{
    Fleet,
    fleet::{FleetError, Seen},
};
use metalk8s_types::fleet::{self, Procedure, ProcedureName, RunPhase, RunSpec};

use super::{Run, RunState, RunStep, StepState, seconds};

/// What happens to a run while it is followed.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEvent {
    /// A step was begun.
    Begun(fleet::RunStep),
    /// The step that is being done waits for this.
    Waits(String),
    /// A step ended, well or not.
    Ended(fleet::RunStep),
    /// The run is over.
    Over(Box<fleet::RunStatus>),
    /// Nothing can be seen now, and why; it will be tried again.
    Blind(String),
    /// Somebody deleted it.
    Gone,
}

/// Asks for a procedure; returns the name of the run.
///
/// # Errors
/// When the API refuses, or cannot be asked.
pub async fn ask(fleet: &Fleet, procedure: Procedure, version: &str) -> Result<RunId, FleetError> {
    let run = RunId::at(Timestamp::now());
    let spec = RunSpec { procedure, version: version.to_owned(), cancelled: false };
    fleet.create_run(run.as_str(), &spec).await?;
    Ok(run)
}

/// A run from its first step to its end, also of what was before.
pub struct Followed {
    events: metalk8s_kube::fleet::Follow<fleet::Run>,
    begun: BTreeSet<String>,
    ended: BTreeSet<String>,
    told: Option<String>,
    waiting: Vec<RunEvent>,
}

/// Follows a run.
pub fn follow(fleet: &Fleet, run: &RunId) -> Followed {
    let events = fleet.follow_runs(Some(run.as_str()));
    Followed::new(events)
}

impl Followed {
    fn new(events: metalk8s_kube::fleet::Follow<fleet::Run>) -> Self {
        let (begun, ended) = (BTreeSet::new(), BTreeSet::new());
        Self { events, begun, ended, told: None, waiting: Vec::new() }
    }

    /// What happens next; `None` after its end.
    pub async fn next(&mut self) -> Option<RunEvent> {
        loop {
            if !self.waiting.is_empty() {
                return Some(self.waiting.remove(0));
            }
            match self.events.recv().await? {
                Seen::There(run) => self.see(run.status.unwrap_or_default()),
                Seen::Gone(_) => return Some(RunEvent::Gone),
                Seen::Complete => {}
                Seen::Blind(why) => return Some(RunEvent::Blind(why)),
            }
        }
    }

    fn see(&mut self, status: fleet::RunStatus) {
        for step in &status.steps {
            if self.begun.insert(step.name.clone()) {
                self.waiting.push(RunEvent::Begun(step.clone()));
            }
            if step.state != fleet::StepState::Running && self.ended.insert(step.name.clone()) {
                self.waiting.push(RunEvent::Ended(step.clone()));
            }
        }
        if let Some(step) = status.steps.last().filter(|step| step.state == fleet::StepState::Running)
            && status.message.as_ref().is_some_and(|message| *message != step.title)
            && status.message != self.told
        {
            self.told.clone_from(&status.message);
            self.waiting.extend(status.message.clone().map(RunEvent::Waits));
        }
        if status.phase.is_final() {
            self.waiting.push(RunEvent::Over(Box::new(status)));
        }
    }
}

/// The runs of the fleet, oldest first.
///
/// # Errors
/// When the API cannot be asked.
pub async fn list(fleet: &Fleet) -> Result<Vec<Run>, FleetError> {
    Ok(fleet.runs().await?.iter().filter_map(of_fleet).collect())
}

/// A run of a fleet, as one of a machine is shown. `None` where its name is not one of ours.
pub fn of_fleet(run: &fleet::Run) -> Option<Run> {
    let id: RunId = run.metadata.name.as_deref()?.parse().ok()?;
    let status = run.status.clone().unwrap_or_default();
    let steps: Vec<RunStep> = status.steps.iter().map(step).collect();
    let failed = status.steps.iter().rfind(|step| step.state == fleet::StepState::Failed);
    let Procedure { name, node, skip_draining: _, drain_seconds: _, force: _, trial } = &run.spec.procedure;
    let what = match name {
        ProcedureName::DeployNode => "deploy",
        ProcedureName::RemoveNode => "remove",
    };
    let what = format!("{}{what} {node}", if *trial { "try: " } else { "" });
    Some(Run {
        run: id,
        what,
        version: run.spec.version.clone(),
        state: match status.phase {
            RunPhase::Pending => RunState::Waiting,
            RunPhase::Running => RunState::Running,
            RunPhase::Succeeded => RunState::Finished,
            RunPhase::Failed => RunState::Failed,
            RunPhase::Cancelled => RunState::Cancelled,
        },
        began: status.started,
        ended: status.finished,
        resumed: 0,
        steps,
        failure: failed.map(|step| step.error.clone()).unwrap_or_default(),
    })
}

fn step(step: &fleet::RunStep) -> RunStep {
    RunStep {
        step: step.name.clone(),
        state: match step.state {
            fleet::StepState::Running => StepState::Running,
            fleet::StepState::Done => StepState::Done,
            fleet::StepState::Failed => StepState::Failed,
        },
        seconds: step.finished.map_or(0.0, |end| seconds(step.started, end)),
        changed: step.changes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, state: fleet::StepState) -> fleet::RunStep {
        let started = "2026-01-01T00:00:00Z".parse().unwrap();
        let is_over = state != fleet::StepState::Running;
        fleet::RunStep {
            name: name.into(),
            title: name.to_uppercase(),
            state,
            started,
            finished: is_over.then(|| "2026-01-01T00:00:02Z".parse().unwrap()),
            comment: String::new(),
            changes: vec!["x".into()],
            error: if state == fleet::StepState::Failed { vec!["no".into()] } else { Vec::new() },
        }
    }

    fn run(phase: RunPhase, steps: &[fleet::RunStep]) -> fleet::Run {
        let procedure = Procedure::new(ProcedureName::DeployNode, "node-1");
        let spec = RunSpec { procedure, version: "1.0.0".into(), cancelled: false };
        let mut run = fleet::Run::new("20260112071130203596", spec);
        run.status = Some(fleet::RunStatus { phase, steps: steps.to_vec(), ..fleet::RunStatus::default() });
        run
    }

    #[test]
    fn a_run_of_the_fleet_is_shown_as_one_of_a_machine() {
        let steps = [told("check", fleet::StepState::Done), told("apply", fleet::StepState::Failed)];
        let shown = of_fleet(&run(RunPhase::Failed, &steps)).unwrap();
        assert_eq!((shown.what.as_str(), shown.state), ("deploy node-1", RunState::Failed));
        assert_eq!(shown.failure, ["no"]);
        let steps: Vec<_> =
            shown.steps.iter().map(|step| (step.step.as_str(), step.state, step.seconds)).collect();
        assert_eq!(steps, [("check", StepState::Done, 2.0), ("apply", StepState::Failed, 2.0)]);
        let mut foreign = run(RunPhase::Pending, &[]);
        foreign.metadata.name = Some("made-by-hand".into());
        assert_eq!(of_fleet(&foreign), None);
    }

    #[tokio::test]
    async fn each_step_is_told_once_when_it_begins_and_once_when_it_ends() {
        let (sender, events) = tokio::sync::mpsc::channel(8);
        let mut followed = Followed::new(events);
        let waits = |message: &str| {
            let mut run = run(RunPhase::Running, &[told("check", fleet::StepState::Running)]);
            run.status.as_mut().unwrap().message = Some(message.into());
            run
        };
        let seen = [
            waits("CHECK"),
            waits("for a pod"),
            waits("for a pod"),
            run(
                RunPhase::Running,
                &[told("check", fleet::StepState::Done), told("apply", fleet::StepState::Running)],
            ),
            run(
                RunPhase::Succeeded,
                &[told("check", fleet::StepState::Done), told("apply", fleet::StepState::Done)],
            ),
        ];
        for run in seen {
            sender.send(Seen::There(Box::new(run))).await.unwrap();
        }
        drop(sender);
        let mut told = Vec::new();
        while let Some(event) = followed.next().await {
            told.push(match event {
                RunEvent::Begun(step) => format!("+{}", step.name),
                RunEvent::Waits(message) => message,
                RunEvent::Ended(step) => format!("-{}", step.name),
                RunEvent::Over(status) => format!("{:?}", status.phase),
                other => format!("{other:?}"),
            });
        }
        assert_eq!(told, ["+check", "for a pod", "-check", "+apply", "-apply", "Succeeded"]);
    }
}
