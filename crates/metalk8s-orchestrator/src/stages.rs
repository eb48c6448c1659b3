//! The stages of a procedure on this machine: shown as a plan, or applied one after the other with a journal.

use metalk8s_diagnostics::{Code, Diagnose, Progress, explain};
use metalk8s_engine::{
    ApplyOptions, Graph, Hands, Outcome, Plan, PlanStep, Planned, Report, State, StepReport, apply, check_all,
};
use metalk8s_formulas::Stage;
use metalk8s_host::{Host, Restarts};

use crate::{observer::StageObserver, run_journal::RunJournal};

mod code;

/// What one stage would change.
#[derive(Debug, serde::Serialize)]
pub struct StagePlan {
    /// What the stage does.
    pub title: &'static str,
    /// Its states.
    pub plan: Plan,
}

/// What one stage did.
#[derive(Debug, serde::Serialize)]
pub struct StageReport {
    /// What the stage does.
    pub title: &'static str,
    /// What happened to each of its states.
    #[serde(flatten)]
    pub report: Report,
}

/// What all stages did.
#[derive(Debug, Default, serde::Serialize)]
pub struct Summary {
    /// States in all.
    pub states: usize,
    /// States that were changed.
    pub changed: usize,
    /// The same in detail, in the order of the stages.
    pub stages: Vec<StageReport>,
}

/// Why stages stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A stage has states that failed.
    #[error("{title}: {failed} of {states} states failed")]
    Stage {
        /// The stage.
        title: &'static str,
        /// How many failed.
        failed: usize,
        /// How many it has.
        states: usize,
        /// What stopped the first of them.
        code: Code,
        /// What happened to each.
        report: Box<Report>,
    },
    /// A stage cannot be put in order.
    #[error("{title}: its states cannot be put in an order")]
    Graph {
        /// The stage.
        title: &'static str,
        /// Why.
        #[source]
        source: metalk8s_engine::GraphError,
    },
    /// The journal cannot be written.
    #[error("could not record the step `{title}`")]
    Record {
        /// The stage.
        title: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl RunError {
    /// Of a stage whose states did not all succeed.
    pub(crate) fn of_stage(title: &'static str, graph: &Graph, report: Report) -> Self {
        Self::Stage {
            title,
            code: code::of_failure(graph, &report),
            failed: report.totals.failed - report.totals.not_run,
            states: report.totals.states,
            report: Box::new(report),
        }
    }
}

impl Diagnose for RunError {
    fn code(&self) -> Option<Code> {
        Some(match self {
            Self::Stage { code, .. } => *code,
            Self::Graph { .. } => explain::GRAPH_INVALID,
            Self::Record { .. } => explain::STATE_FAILED,
        })
    }
}

/// What would change, stage by stage. Reads only.
///
/// # Errors
/// When the states of a stage have no order.
pub async fn plan(stages: &[Stage], hands: &dyn Hands) -> Result<Vec<StagePlan>, RunError> {
    let mut plans: Vec<StagePlan> = Vec::new();
    for stage in stages {
        let title = stage.title;
        let mut plan = check_all(&stage.graph, hands, &ApplyOptions::default())
            .await
            .map_err(|source| RunError::Graph { title, source })?;
        let pending = plans.iter().flat_map(|before| before.plan.pending()).last();
        if let Some(pending) = pending {
            excuse(&mut plan, pending);
        }
        plans.push(StagePlan { title, plan });
    }
    Ok(plans)
}

/// Makes every stage true, one after the other, each recorded before the next begins.
///
/// # Errors
/// When a state fails; everything before it is done, and the same call goes on from there.
pub async fn run(
    stages: &[Stage],
    hands: &dyn Hands,
    progress: &Progress,
    journal: &mut RunJournal,
) -> Result<Summary, RunError> {
    let mut summary = Summary::default();
    for stage in stages {
        let title = stage.title;
        let recorded = |source| RunError::Record { title, source };
        let step = progress.step(title);
        journal.step_started(stage.name).map_err(recorded)?;
        let options = ApplyOptions { changed_before: journal.unsettled().clone(), ..ApplyOptions::default() };
        let host = Host::new();
        let before = Restarts::of(&host);
        let mut report = apply(&stage.graph, hands, &StageObserver::new(&step, journal), &options)
            .await
            .map_err(|source| RunError::Graph { title, source })?;
        add_last_words(&stage.graph, &mut report, || before.last_words(&host));
        journal.step_finished(stage.name, report.totals.changed, failures(&report)).map_err(recorded)?;
        if !report.is_success() {
            step.fail(Some(&failures(&report).join("\n")));
            return Err(RunError::of_stage(title, &stage.graph, report));
        }
        summary.states += report.totals.states;
        summary.changed += report.totals.changed;
        summary.stages.push(StageReport { title, report });
        step.done();
    }
    journal.run_finished().map_err(|source| RunError::Record { title: "the end", source })?;
    Ok(summary)
}

/// What was waited for in vain may be what a static pod brings that ends again and again: the reason is what it says.
fn add_last_words(graph: &Graph, report: &mut Report, words: impl FnOnce() -> Vec<String>) {
    let is_wait = |step: &&mut StepReport| {
        let state = graph.get(step.id.as_str()).map(|step| &step.state);
        step.outcome == Outcome::Failed && matches!(state, Some(State::Wait(_)))
    };
    if let Some(step) = report.steps.iter_mut().find(is_wait) {
        step.causes.extend(words());
    }
}

/// A state that cannot be looked at because an earlier stage was not applied is no mistake of the plan.
fn excuse(plan: &mut Plan, pending: &PlanStep) {
    for step in &mut plan.steps {
        if step.planned.is_failed() {
            step.planned = Planned::Unknown { before: pending.id.clone() };
        }
    }
}

/// The failed states of a report, each with its causes below it.
pub fn failures(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for step in report.failures() {
        lines.push(format!("state `{}` ({}): {}", step.id, step.what, step.comment));
        lines.extend(step.causes.iter().map(|cause| format!("  cause: {cause}")));
    }
    lines
}
