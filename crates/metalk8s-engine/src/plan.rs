//! What would happen, as plain data.

mod text;

use serde::{Deserialize, Serialize};

use crate::{Change, ChangeKind, StateId};

/// What would become of each state of a graph, in the order it would happen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// One entry for every state of the graph.
    pub steps: Vec<PlanStep>,
}

/// What would become of one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    /// Its name in the graph.
    pub id: StateId,
    /// What it is about, such as `File /etc/hosts`.
    pub what: String,
    /// What would become of it.
    #[serde(flatten)]
    pub planned: Planned,
}

/// What would become of a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "planned", rename_all = "snake_case")]
pub enum Planned {
    /// It is true already.
    Nothing,
    /// It would be changed.
    Change {
        /// How.
        change: Change,
    },
    /// It is true already, but watches states that change: it would restart, reload or run.
    React {
        /// The states that change.
        to: Vec<StateId>,
    },
    /// Its requisites do not ask for it.
    NotNeeded {
        /// Why.
        because: String,
    },
    /// It cannot be looked at before another state is made true.
    Unknown {
        /// That state.
        before: StateId,
    },
    /// It would not be run, because another state cannot even be checked.
    Blocked {
        /// That state.
        by: StateId,
    },
    /// It could not be checked.
    Failed {
        /// What was being done.
        error: String,
        /// The causes, outermost first.
        causes: Vec<String>,
    },
}

impl Planned {
    /// Whether something would be changed for certain. Waiting is no change.
    pub fn is_change(&self) -> bool {
        match self {
            Self::Change { change } => change.kind != ChangeKind::Wait,
            Self::React { .. } => true,
            _ => false,
        }
    }

    /// Whether something would be changed, or might.
    pub fn may_change(&self) -> bool {
        matches!(self, Self::Change { .. } | Self::React { .. } | Self::Unknown { .. })
    }

    /// Whether it could not be checked, or another on which it depends.
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Blocked { .. })
    }
}

impl Plan {
    /// States that would be changed, or might.
    pub fn pending(&self) -> impl Iterator<Item = &PlanStep> {
        self.steps
            .iter()
            .filter(|step| step.planned.is_change() || matches!(step.planned, Planned::Unknown { .. }))
    }

    /// Whether nothing would be changed and everything could be checked.
    pub fn is_clean(&self) -> bool {
        self.pending().next().is_none() && self.failures().next().is_none()
    }

    /// States that could not be checked, without those that wait for them.
    pub fn failures(&self) -> impl Iterator<Item = &PlanStep> {
        self.steps.iter().filter(|step| matches!(step.planned, Planned::Failed { .. }))
    }

    /// The entry of a state.
    pub fn get(&self, id: &str) -> Option<&PlanStep> {
        self.steps.iter().find(|step| step.id.as_str() == id)
    }
}
