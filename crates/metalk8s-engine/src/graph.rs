//! States and the edges between them.

mod order;
mod step;

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::State;

pub(crate) use order::{Edge, Order};
pub use step::{Guard, Retry, Step};

/// The name of a state within its graph, chosen by the formula: a sentence fragment a person can search for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StateId(String);

impl StateId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for StateId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One edge: this state depends on another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requisite {
    /// How.
    pub kind: RequisiteKind,
    /// On which state.
    pub on: StateId,
}

/// How one state depends on another, in Salt's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequisiteKind {
    /// Comes after it, and only if it succeeded.
    Require,
    /// As `Require`; and when it changed, this state reacts (a service restarts).
    Watch,
    /// As `Require`; and is applied only when it changed.
    OnChanges,
    /// Comes before it: applied only when that state is about to change.
    Prereq,
    /// Comes after it, and only if it failed.
    OnFail,
}

/// States with their order. Steps that do not depend on each other may run at the same time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Steps")]
pub struct Graph {
    steps: Vec<Step>,
    /// Where each name stands in `steps`; the first, where a foreign graph has two.
    #[serde(skip)]
    index: HashMap<StateId, usize>,
}

/// A graph as it is stored; its names are not known to be good.
#[derive(Deserialize)]
struct Steps {
    steps: Vec<Step>,
}

impl From<Steps> for Graph {
    fn from(Steps { steps }: Steps) -> Self {
        let mut index = HashMap::with_capacity(steps.len());
        for (position, step) in steps.iter().enumerate() {
            index.entry(step.id.clone()).or_insert(position);
        }
        Self { steps, index }
    }
}

impl PartialEq for Graph {
    fn eq(&self, other: &Self) -> bool {
        self.steps == other.steps
    }
}

/// Why a graph cannot be run.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GraphError {
    /// Two states have one name.
    #[error("two states are called `{0}`")]
    Duplicate(StateId),
    /// A requisite names a state that is not there.
    #[error("state `{state}` depends on `{on}`, which does not exist")]
    Missing {
        /// The state that depends.
        state: StateId,
        /// The name it gives.
        on: StateId,
    },
    /// States wait for one another.
    #[error("these states wait for one another: {}", .0.iter().map(StateId::as_str).collect::<Vec<_>>().join(" -> "))]
    Cycle(Vec<StateId>),
}

impl Graph {
    /// Adds a state and returns its name, which must be new to this graph.
    ///
    /// # Panics
    /// When the name is taken: formulas choose names, so that is a mistake in a formula.
    pub fn add(&mut self, id: impl Into<String>, state: State) -> StateId {
        let id = StateId(id.into());
        self.push(Step::new(id.clone(), state));
        id
    }

    fn push(&mut self, step: Step) {
        let taken = self.index.insert(step.id.clone(), self.steps.len());
        assert!(taken.is_none(), "two states are called `{}`", step.id);
        self.steps.push(step);
    }

    /// `state` comes after `on`, and only if it succeeded.
    pub fn require(&mut self, state: &StateId, on: &StateId) {
        self.depend(state, RequisiteKind::Require, on);
    }

    /// `state` comes after `on`, and reacts when it changed.
    pub fn watch(&mut self, state: &StateId, on: &StateId) {
        self.depend(state, RequisiteKind::Watch, on);
    }

    /// `state` comes after each of `all`, and only if they succeeded.
    pub fn require_all<'a>(&mut self, state: &StateId, all: impl IntoIterator<Item = &'a StateId>) {
        for on in all {
            self.require(state, on);
        }
    }

    /// Adds an edge of any kind.
    ///
    /// # Panics
    /// When `state` is not in this graph.
    pub fn depend(&mut self, state: &StateId, kind: RequisiteKind, on: &StateId) {
        let step = self.step_mut(state);
        let requisite = Requisite { kind, on: on.clone() };
        if !step.requisites.contains(&requisite) {
            step.requisites.push(requisite);
        }
    }

    /// Adds a condition under which a state is dealt with at all.
    ///
    /// # Panics
    /// When `state` is not in this graph; so do the next two.
    pub fn guard(&mut self, state: &StateId, guard: Guard) {
        self.step_mut(state).guards.push(guard);
    }

    /// Says how often a state is tried.
    pub fn retry(&mut self, state: &StateId, retry: Retry) {
        self.step_mut(state).retry = Some(retry);
    }

    /// Lets the failure of a state keep all others from running that have not begun.
    pub fn stop_at_failure_of(&mut self, state: &StateId) {
        self.step_mut(state).stops_run = true;
    }

    fn step_mut(&mut self, state: &StateId) -> &mut Step {
        let position = *self.index.get(state).expect("the state was returned by this graph's `add`");
        &mut self.steps[position]
    }

    /// The states in the order they were added.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Takes all steps of another graph; their names must be new to this one.
    pub fn append(&mut self, other: Self) {
        for step in other.steps {
            self.push(step);
        }
    }

    /// Takes the steps of another graph that this one does not have. A state of both stays what it is here, and
    /// depends on what either graph says.
    pub fn unite(&mut self, other: Self) {
        for step in other.steps {
            let Some(position) = self.index.get(&step.id).copied() else {
                self.push(step);
                continue;
            };
            let requisites = &mut self.steps[position].requisites;
            for requisite in step.requisites {
                if !requisites.contains(&requisite) {
                    requisites.push(requisite);
                }
            }
        }
    }

    /// Takes all steps of another graph, which come after all steps of this one. Their names must be new.
    pub fn then(&mut self, later: Self) {
        let inside: BTreeSet<&StateId> = later.steps.iter().map(|step| &step.id).collect();
        let first: Vec<StateId> = later
            .steps
            .iter()
            .filter(|step| !step.requisites.iter().any(|requisite| inside.contains(&requisite.on)))
            .map(|step| step.id.clone())
            .collect();
        let required: BTreeSet<&StateId> =
            self.steps.iter().flat_map(|step| &step.requisites).map(|requisite| &requisite.on).collect();
        let last: Vec<StateId> =
            self.steps.iter().map(|step| &step.id).filter(|id| !required.contains(id)).cloned().collect();
        self.append(later);
        for state in &first {
            self.require_all(state, &last);
        }
    }

    /// The state of this name.
    pub fn get(&self, id: &str) -> Option<&Step> {
        self.index.get(id).map(|position| &self.steps[*position])
    }

    /// How many states there are.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether it can be run: each name once, each requisite there, no cycle.
    ///
    /// # Errors
    /// The first mistake found.
    pub fn validate(&self) -> Result<(), GraphError> {
        Order::of(self).map(drop)
    }

    /// Where a state stands in [`Self::steps`].
    pub(crate) fn position(&self, id: &StateId) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// The states by name.
    pub fn by_id(&self) -> BTreeMap<&StateId, &Step> {
        self.steps.iter().map(|step| (&step.id, step)).collect()
    }
}
