//! A state with all that is said about it besides what it wishes for.

use serde::{Deserialize, Serialize};

use super::{Requisite, StateId};
use crate::{Hands, State, StateError, state::Command};

/// A state with its place in the graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub id: StateId,
    /// The wish.
    pub state: State,
    /// What it depends on.
    pub requisites: Vec<Requisite>,
    /// Conditions under which it is dealt with at all; all of them must ask for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<Guard>,
    /// How often it is tried; `None` leaves that to [`crate::ApplyOptions::retries`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Whether its failure keeps every state from running that has not begun.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stops_run: bool,
}

/// A condition: the state is left alone where this command's own conditions do not ask for it. The command
/// itself is never run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    /// Why the state was left alone then, such as `unless condition is true`.
    pub because: String,
    /// What is asked, by its conditions.
    pub command: Command,
}

/// How often a state that fails is tried, whatever the failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// How often in all.
    pub attempts: u32,
    /// Seconds between two of them.
    pub interval_seconds: u64,
}

impl Step {
    pub(super) fn new(id: StateId, state: State) -> Self {
        Self { id, state, requisites: Vec::new(), guards: Vec::new(), retry: None, stops_run: false }
    }

    /// Why the state is to be left alone, where one of its guards says so. Reads only.
    pub(crate) async fn left_alone(&self, hands: &dyn Hands) -> Result<Option<&str>, StateError> {
        for Guard { because, command } in &self.guards {
            if hands.check(&State::Command(command.clone())).await?.is_none() {
                return Ok(Some(because));
            }
        }
        Ok(None)
    }
}
