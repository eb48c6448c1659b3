//! On a node: look, and carry out exactly what was agreed upon.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Mutex, PoisonError},
};

use metalk8s_diagnostics::{Code, Diagnose, code_of_io, explain};
use metalk8s_engine::{
    Agreed, ApplyOptions, Change, ChangeSet, Graph, GraphError, Hands, Observer, PendingChange, PlanStep,
    Planned, Report, StateError, StateId, Step, apply, check_all,
};
use metalk8s_types::VERSION;
use serde_json::Value;

use super::{Answer, CARRY_OUT, LIMIT, LOOK, NodePlan, Order, RUN};
use crate::{LockError, OpenJournalError, RunJournal, lock, run_journal::unsettled, stages::failures};

/// Why a node did not do what it was asked for. Nothing was changed, unless the journal failed in the middle.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Its states have no order.
    #[error("the states of this node cannot be put in an order")]
    Graph(#[from] GraphError),
    /// Another program made the plan.
    #[error("the plan was made by version {planned}, and this node runs {VERSION}: make a new plan")]
    Version {
        /// The version that made it.
        planned: String,
    },
    /// The words after the function are wrong.
    #[error("this is no plan that can be carried out")]
    Order(#[source] Option<serde_json::Error>),
    /// Something else changes this machine.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] OpenJournalError),
    /// A line of the journal.
    #[error("could not write the journal")]
    Record(#[source] std::io::Error),
}

impl Diagnose for NodeError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Graph(_) => Some(explain::GRAPH_INVALID),
            Self::Version { .. } => Some(explain::PLAN_MOVED),
            Self::Order(_) => Some(explain::PLAN_UNREADABLE),
            Self::Lock(error) => error.code(),
            Self::Journal(error) => error.code(),
            Self::Record(error) => Some(code_of_io(error)),
        }
    }
}

/// What an agent is asked about plans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// What would change.
    Look,
    /// Exactly this.
    CarryOut(Order),
}

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// What would change.
    Plan(NodePlan),
    /// What became of an order.
    Answer(Answer),
}

impl Request {
    /// What this function with these words asks for; `None` where it is not about plans.
    ///
    /// # Errors
    /// When its words are no order.
    pub fn of(function: &str, words: &[String]) -> Option<Result<Self, NodeError>> {
        match function {
            LOOK => Some(Ok(Self::Look)),
            CARRY_OUT => Some(order(words).map(Self::CarryOut)),
            _ => None,
        }
    }

    /// Does it. `runs` is the folder of journals, `run_lock` the lock of runs.
    ///
    /// # Errors
    /// When nothing could be compared.
    pub async fn answer(
        &self,
        graph: &Graph,
        hands: &dyn Hands,
        runs: &Path,
        run_lock: &Path,
    ) -> Result<Reply, NodeError> {
        Ok(match self {
            Self::Look => Reply::Plan(look(graph, hands, runs).await?),
            Self::CarryOut(order) => Reply::Answer(carry_out(order, graph, hands, runs, run_lock).await?),
        })
    }
}

impl Reply {
    /// The status of a job that says this.
    pub fn retcode(&self) -> u8 {
        u8::from(match self {
            Self::Plan(_) | Self::Answer(Answer::Agrees { .. }) => false,
            Self::Answer(Answer::Refused { .. }) => true,
            Self::Answer(Answer::Applied { failed, .. }) => !failed.is_empty(),
        })
    }

    /// As a job hands it on: diffs are cut where they have no room.
    pub fn value(self) -> Value {
        let value = match self {
            Self::Plan(mut plan) => {
                plan.changes.cut(LIMIT);
                serde_json::to_value(plan)
            }
            Self::Answer(answer) => serde_json::to_value(answer),
        };
        value.expect("a plan has only string keys")
    }
}

fn order(words: &[String]) -> Result<Order, NodeError> {
    let [order] = words else { return Err(NodeError::Order(None)) };
    let order: Order = serde_json::from_str(order).map_err(|source| NodeError::Order(Some(source)))?;
    if Agreed::digest_of(&order.changes) != order.digest {
        return Err(NodeError::Order(None));
    }
    Ok(order)
}

/// What would change on this node, also because an earlier application of a plan did not come to its end.
///
/// # Errors
/// When the states have no order.
pub async fn look(graph: &Graph, hands: &dyn Hands, runs: &Path) -> Result<NodePlan, NodeError> {
    let options = ApplyOptions { changed_before: unsettled(runs, RUN), ..ApplyOptions::default() };
    Ok(NodePlan::now(ChangeSet::of(&check_all(graph, hands, &options).await?)))
}

/// Looks again, and changes exactly what was agreed upon; or nothing, where something else would be changed now.
///
/// # Errors
/// When nothing could be compared. That states failed stands in the answer.
pub async fn carry_out(
    order: &Order,
    graph: &Graph,
    hands: &dyn Hands,
    runs: &Path,
    run_lock: &Path,
) -> Result<Answer, NodeError> {
    if order.version != VERSION {
        return Err(NodeError::Version { planned: order.version.clone() });
    }
    let _lock = if order.only_check { None } else { Some(lock(run_lock, RUN)?) };
    let now = look(graph, hands, runs).await?.changes;
    let difference = now.compare(&order.changes);
    if difference.is_refused() {
        return Ok(Answer::Refused { difference });
    }
    if order.only_check {
        return Ok(Answer::Agrees { to_do: now.changes.len(), done: difference.gone });
    }
    let mut journal = RunJournal::open(runs, RUN, &[RUN])?;
    journal.step_started(RUN).map_err(NodeError::Record)?;
    let report = apply_exactly(order, graph, hands, &mut journal).await?;
    let failed = failures(&report);
    journal.step_finished(RUN, report.totals.changed, failed.clone()).map_err(NodeError::Record)?;
    if failed.is_empty() {
        journal.run_finished().map_err(NodeError::Record)?;
    }
    Ok(Answer::Applied { changed: report.totals.changed, done_before: difference.gone.len(), failed })
}

async fn apply_exactly(
    order: &Order,
    graph: &Graph,
    hands: &dyn Hands,
    journal: &mut RunJournal,
) -> Result<Report, GraphError> {
    let options = ApplyOptions { changed_before: journal.unsettled().clone(), ..ApplyOptions::default() };
    let agreed: BTreeMap<&StateId, &Agreed> =
        order.changes.iter().map(|change| (&change.id, change)).collect();
    let observer =
        Exactly { reacting: reacting(graph, agreed.keys().copied()), agreed, journal: Mutex::new(journal) };
    apply(graph, hands, &observer, &options).await
}

/// States that may follow these: they depend on one of them, however far, and are of a kind that reacts.
fn reacting<'a>(graph: &Graph, changed: impl Iterator<Item = &'a StateId>) -> BTreeSet<StateId> {
    let mut reached: BTreeSet<&StateId> = changed.collect();
    loop {
        let depends = |step: &&Step| {
            !reached.contains(&step.id) && step.requisites.iter().any(|on| reached.contains(&on.on))
        };
        let more: Vec<&StateId> = graph.steps().iter().filter(depends).map(|step| &step.id).collect();
        if more.is_empty() {
            break;
        }
        reached.extend(more);
    }
    let reacts = |step: &&Step| step.state.reacts() && reached.contains(&step.id);
    graph.steps().iter().filter(reacts).map(|step| step.id.clone()).collect()
}

/// Lets nothing be changed but what was agreed upon, and records it before.
struct Exactly<'a> {
    agreed: BTreeMap<&'a StateId, &'a Agreed>,
    /// States that may do something because others have changed.
    reacting: BTreeSet<StateId>,
    journal: Mutex<&'a mut RunJournal>,
}

impl Exactly<'_> {
    fn allows(&self, step: &Step, change: &Change) -> bool {
        if self.reacting.contains(&step.id) {
            return true;
        }
        let found = PlanStep {
            id: step.id.clone(),
            what: step.state.label(),
            planned: Planned::Change { change: change.clone() },
        };
        let agreed = self.agreed.get(&step.id);
        let found = PendingChange::of(&found);
        agreed.zip(found).is_some_and(|(agreed, found)| agreed.covers(found.kind, &found.digest))
    }
}

impl Observer for Exactly<'_> {
    fn changing(&self, step: &Step, change: &Change) -> Result<(), StateError> {
        if !self.allows(step, change) {
            return Err(StateError::new(format!(
                "the plan does not say `{}` of this state: the machine was changed while the plan was applied",
                change.summary
            )));
        }
        tracing::info!(state = %step.id, "{}", change.summary);
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal
            .changing(&step.id, &change.summary)
            .map_err(|err| StateError::new("could not record the change in the journal").because(err))
    }
}

#[cfg(test)]
mod tests;
