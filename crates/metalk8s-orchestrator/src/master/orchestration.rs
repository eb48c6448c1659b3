//! Procedures over nodes, as whoever asked for one sees them go on.

use std::collections::{BTreeSet, VecDeque};

use jiff::{Timestamp, tz::TimeZone};
use metalk8s_diagnostics::{Code, Diagnose, Hint, Problems, explain};
use metalk8s_engine::journal::RunId;
use metalk8s_kube::fleet::{FleetError, Follow, Seen};
use metalk8s_saltcompat::{
    output::{Form, Orchestrated, StepEnded},
    runner::{DEPLOY_NODE, NodeSettings, Orchestrate, REMOVE_NODE, STEP},
};
use metalk8s_types::{
    VERSION, environment,
    fleet::{Procedure, ProcedureName, Run, RunPhase, RunSpec, RunStep, StepState},
};
use serde_json::{Value, json};

use crate::bus::Bus;

/// A procedure that was asked for.
pub struct Orchestration {
    /// The name of its run.
    pub run: String,
    events: Follow<Run>,
    told: BTreeSet<String>,
    waiting: VecDeque<Progress>,
}

/// Something that happened to it.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// A step ended.
    Step(StepEnded),
    /// It is over.
    Over(RunPhase),
}

/// Why a procedure was not begun, or cannot be seen any more.
#[derive(Debug, thiserror::Error)]
pub enum OrchestrationError {
    /// There is none of that name.
    #[error(
        "there is no orchestration `{0}` in version {VERSION}; there are: `{DEPLOY_NODE}`, `{REMOVE_NODE}`"
    )]
    Unknown(String),
    /// Its version.
    #[error("`saltenv={0}` is no environment such as `{own}`", own = environment(VERSION))]
    Environment(String),
    /// Its settings.
    #[error("the orchestration `{name}` was not begun")]
    Settings {
        /// Which one.
        name: String,
        /// What is wrong with them.
        #[source]
        source: Problems,
    },
    /// The bus.
    #[error(transparent)]
    Bus(#[from] FleetError),
    /// It went away while it was followed.
    #[error("somebody deleted the run {0}")]
    Deleted(String),
    /// Nobody tells of it.
    #[error("nothing more can be seen of the run {0}")]
    Lost(String),
}

impl Diagnose for OrchestrationError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Unknown(_) | Self::Environment(_) => Some(explain::WRONG_USAGE),
            // Each mistake has its own.
            Self::Settings { .. } => None,
            Self::Bus(error) => error.code(),
            Self::Deleted(_) => Some(explain::RUN_UNKNOWN),
            Self::Lost(_) => Some(explain::API_UNREACHABLE),
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Unknown(_)
            | Self::Environment(_)
            | Self::Settings { .. }
            | Self::Bus(_)
            | Self::Deleted(_)
            | Self::Lost(_) => Vec::new(),
        }
    }
}

impl Orchestration {
    /// Asks for the procedure.
    ///
    /// # Errors
    /// When what is asked for is not accepted, or the API cannot be asked.
    pub async fn begin(bus: &dyn Bus, wanted: &Orchestrate) -> Result<Self, OrchestrationError> {
        let name = match wanted.name.as_str() {
            DEPLOY_NODE => ProcedureName::DeployNode,
            REMOVE_NODE => ProcedureName::RemoveNode,
            other => return Err(OrchestrationError::Unknown(other.to_owned())),
        };
        let settings = NodeSettings::from_pillar(&wanted.name, &wanted.pillar)
            .map_err(|source| OrchestrationError::Settings { name: wanted.name.clone(), source })?;
        let NodeSettings { node_name, skip_draining, drain_timeout, force } = settings;
        let version = match wanted.saltenv.as_deref() {
            None => VERSION,
            Some(saltenv) => saltenv
                .strip_prefix("metalk8s-")
                .ok_or_else(|| OrchestrationError::Environment(saltenv.to_owned()))?,
        };
        let procedure = Procedure {
            skip_draining,
            drain_seconds: drain_timeout,
            force,
            trial: wanted.test,
            ..Procedure::new(name, node_name)
        };
        let run = RunId::at(Timestamp::now()).to_string();
        let events = bus.follow_runs(Some(&run));
        let spec = RunSpec { procedure, version: version.to_owned(), cancelled: false };
        bus.create_run(&run, &spec).await?;
        Ok(Self { run, events, told: BTreeSet::new(), waiting: VecDeque::new() })
    }

    /// What happens next; nothing is lost where the wait for it is given up.
    ///
    /// # Errors
    /// When it cannot be seen any more.
    pub async fn next(&mut self) -> Result<Progress, OrchestrationError> {
        loop {
            if let Some(progress) = self.waiting.pop_front() {
                return Ok(progress);
            }
            match self.events.recv().await {
                Some(Seen::There(run)) => self.take(&run),
                Some(Seen::Blind(why)) => {
                    tracing::warn!(error = why, "the run cannot be seen, trying again");
                }
                Some(Seen::Complete) => {}
                Some(Seen::Gone(_)) => return Err(OrchestrationError::Deleted(self.run.clone())),
                None => return Err(OrchestrationError::Lost(self.run.clone())),
            }
        }
    }

    /// Waits for its end, and gives it as programs read it.
    ///
    /// # Errors
    /// When it cannot be seen any more.
    pub async fn finish(mut self) -> Result<Value, OrchestrationError> {
        let mut steps = Orchestrated::new(Form::default(), TimeZone::UTC);
        loop {
            match self.next().await? {
                Progress::Step(step) => drop(steps.ended(&step)),
                Progress::Over(phase) => return Ok(envelope(&steps, phase).0),
            }
        }
    }

    fn take(&mut self, run: &Run) {
        let Some(status) = &run.status else { return };
        for step in status.steps.iter().filter(|step| step.state != StepState::Running) {
            if self.told.insert(step.name.clone()) {
                self.waiting.push_back(Progress::Step(as_told(step, &run.spec.procedure)));
            }
        }
        if status.phase.is_final() {
            self.waiting.push_back(Progress::Over(status.phase));
        }
    }
}

/// What a run that is over returned, as programs read it, and whether it went well.
pub fn outcome(run: &Run) -> (Value, bool) {
    let status = run.status.clone().unwrap_or_default();
    let mut steps = Orchestrated::new(Form::default(), TimeZone::UTC);
    for step in status.steps.iter().filter(|step| step.state != StepState::Running) {
        steps.ended(&as_told(step, &run.spec.procedure));
    }
    envelope(&steps, status.phase)
}

/// A run may fail between its steps, too.
fn envelope(steps: &Orchestrated, phase: RunPhase) -> (Value, bool) {
    let success = phase == RunPhase::Succeeded;
    let mut value = steps.value();
    if !success {
        value["retcode"] = 1.into();
    }
    (value, success)
}

fn as_told(step: &RunStep, procedure: &Procedure) -> StepEnded {
    let node = &procedure.node;
    let mut comment = step.comment.clone();
    for line in step.error.iter().skip(1) {
        comment = format!("{comment}\n{line}");
    }
    let milliseconds = step.finished.map_or(0, |end| end.duration_since(step.started).as_millis());
    StepEnded {
        id: step.title.clone(),
        name: node.to_owned(),
        function: STEP.to_owned(),
        result: match step.state {
            StepState::Done if procedure.trial && !step.changes.is_empty() => None,
            state => Some(state == StepState::Done),
        },
        comment,
        changes: if step.changes.is_empty() { json!({}) } else { json!({ node: step.changes }) },
        started: step.started,
        #[expect(clippy::cast_precision_loss, reason = "no step takes that long")]
        duration_ms: milliseconds as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_tells_all_its_causes() {
        let step = RunStep {
            name: "apply".into(),
            title: "Applying the roles".into(),
            state: StepState::Failed,
            started: "2026-01-01T00:00:00Z".parse().unwrap(),
            finished: Some("2026-01-01T00:00:02Z".parse().unwrap()),
            comment: "one".into(),
            changes: Vec::new(),
            error: vec!["one".into(), "two".into()],
        };
        let mut procedure = Procedure::new(ProcedureName::DeployNode, "node-1");
        let told = as_told(&step, &procedure);
        assert_eq!((told.comment.as_str(), told.result, told.duration_ms), ("one\ntwo", Some(false), 2000.0));

        let would = RunStep { state: StepState::Done, changes: vec!["x".into()], ..step };
        assert_eq!(as_told(&would, &procedure).result, Some(true));
        procedure.trial = true;
        assert_eq!(as_told(&would, &procedure).result, None, "a trial only says what would be");
        assert_eq!(as_told(&RunStep { changes: Vec::new(), ..would }, &procedure).result, Some(true));
    }
}
