//! The bootstrap: a bare machine becomes a one-node cluster (area BOOT).
//!
//! [`prepare`] reads and decides, and changes nothing; [`Bootstrap::plan`] shows; [`Bootstrap::run`] does.

mod inputs;

use std::path::PathBuf;

use metalk8s_diagnostics::Progress;
use metalk8s_engine::{ApplyOptions, Hands, Plan, PlanStep, Planned, Report, apply, check_all};
use metalk8s_formulas::Stage;
use metalk8s_types::Pillar;

pub use inputs::{PrepareError, prepare};

use crate::{observer::StageObserver, run_journal::RunJournal};

/// What the bootstrap is asked for.
#[derive(Debug, Clone)]
pub struct BootstrapOptions {
    /// Where this version's archive is mounted.
    pub archive: PathBuf,
    /// The BootstrapConfiguration.
    pub config: PathBuf,
    /// Whether not even the note that the archive was verified is written.
    pub dry_run: bool,
}

/// A bootstrap that was decided: every stage with its states.
#[derive(Debug)]
pub struct Bootstrap {
    /// The settings it was made from.
    pub pillar: Pillar,
    /// What it does, in order.
    pub stages: Vec<Stage>,
}

/// What one stage would change.
#[derive(Debug, serde::Serialize)]
pub struct StagePlan {
    /// What the stage does.
    pub title: &'static str,
    /// Its states.
    pub plan: Plan,
}

/// What the whole bootstrap did.
#[derive(Debug, Default, serde::Serialize)]
pub struct Summary {
    /// States in all.
    pub states: usize,
    /// States that were changed.
    pub changed: usize,
}

/// Why a bootstrap stopped.
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

impl Bootstrap {
    /// What would change, stage by stage. Reads only.
    ///
    /// # Errors
    /// When the states of a stage have no order.
    pub async fn plan(&self, hands: &dyn Hands) -> Result<Vec<StagePlan>, RunError> {
        let mut plans: Vec<StagePlan> = Vec::new();
        for stage in &self.stages {
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
        &self,
        hands: &dyn Hands,
        progress: &Progress,
        journal: &mut RunJournal,
    ) -> Result<Summary, RunError> {
        let mut summary = Summary::default();
        for stage in &self.stages {
            let title = stage.title;
            let recorded = |source| RunError::Record { title, source };
            let step = progress.step(title);
            journal.step_started(stage.name).map_err(recorded)?;
            let options =
                ApplyOptions { changed_before: journal.unsettled().clone(), ..ApplyOptions::default() };
            let report = apply(&stage.graph, hands, &StageObserver::new(&step, journal), &options)
                .await
                .map_err(|source| RunError::Graph { title, source })?;
            let errors = report.failures().map(|failure| failure.comment.clone()).collect();
            journal.step_finished(stage.name, report.totals.changed, errors).map_err(recorded)?;
            if !report.is_success() {
                step.fail(Some(&failures(&report)));
                return Err(RunError::Stage {
                    title,
                    failed: report.totals.failed - report.totals.not_run,
                    states: report.totals.states,
                    report: Box::new(report),
                });
            }
            summary.states += report.totals.states;
            summary.changed += report.totals.changed;
            step.done();
        }
        journal.run_finished().map_err(|source| RunError::Record { title: "the end", source })?;
        Ok(summary)
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

/// The failed states of a report with their causes, for people.
pub fn failures(report: &Report) -> String {
    let mut text = String::new();
    for step in report.failures() {
        text.push_str(&format!("state `{}` ({}): {}\n", step.id, step.what, step.comment));
        for cause in &step.causes {
            text.push_str(&format!("  cause: {cause}\n"));
        }
    }
    text
}
