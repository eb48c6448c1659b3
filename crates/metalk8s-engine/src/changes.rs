//! What a plan would change and nothing else: small enough to be sent and kept, exact enough to be compared.
//!
//! Pure. [`ChangeSet::of`] takes it from a plan; [`ChangeSet::compare`] tells what is different between one that
//! was agreed upon and what would be changed now.

mod cut;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Plan, PlanStep, Planned, StateId};

/// What would be changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSet {
    /// How many states were looked at.
    pub states: usize,
    /// Those that would be changed, in the order in which they would be.
    pub changes: Vec<PendingChange>,
    /// Those that could not be looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchecked: Vec<Unchecked>,
    /// SHA-256 over all changes, in lower-case hexadecimal digits: equal means that the same would be done.
    pub digest: String,
}

/// What would be changed of one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingChange {
    /// Its name in the graph.
    pub id: StateId,
    /// What it is about, such as `File /etc/hosts`.
    pub what: String,
    /// What kind of change.
    pub kind: PendingKind,
    /// One line about it, such as `write /etc/hosts`.
    pub summary: String,
    /// The texts before and after, where they may be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<Diff>,
    /// SHA-256 over the exact change, also over what is not shown of long texts.
    pub digest: String,
}

/// A unified diff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// With three lines of context; only its beginning where lines were cut.
    pub text: String,
    /// How many lines at its end were left out because all diffs together were too long.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut_lines: usize,
}

/// What kind of change is pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PendingKind {
    /// Something new comes.
    Create,
    /// Something becomes different.
    Update,
    /// Something goes.
    Remove,
    /// A program runs, a service restarts.
    Run,
    /// It is true, but watches states that change: it restarts, reloads or runs.
    React,
    /// It cannot be known before another state is made true.
    Unknown,
}

impl PendingKind {
    /// Its name in JSON.
    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Remove => "remove",
            Self::Run => "run",
            Self::React => "react",
            Self::Unknown => "unknown",
        }
    }
}

/// A state that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unchecked {
    /// Its name in the graph.
    pub id: StateId,
    /// What was being done.
    pub error: String,
    /// The causes, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
}

/// A change that somebody has seen and wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    /// The state.
    pub id: StateId,
    /// What kind of change.
    pub kind: PendingKind,
    /// [`PendingChange::digest`].
    pub digest: String,
}

/// What is different between changes that were agreed upon and those that would be made now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Changes nobody has agreed upon, a line each after the state's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new: Vec<(StateId, String)>,
    /// Changes of the same state that are not the same any more, likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub different: Vec<(StateId, String)>,
    /// Agreed changes for which nothing is to be done any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<StateId>,
    /// States that cannot be looked at now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchecked: Vec<Unchecked>,
}

impl ChangeSet {
    /// What this plan would change.
    pub fn of(plan: &Plan) -> Self {
        let changes: Vec<PendingChange> = plan.steps.iter().filter_map(PendingChange::of).collect();
        let failed = plan.failures().filter_map(|step| match &step.planned {
            Planned::Failed { error, causes } => {
                Some(Unchecked { id: step.id.clone(), error: error.clone(), causes: causes.clone() })
            }
            _ => None,
        });
        Self {
            states: plan.steps.len(),
            unchecked: failed.collect(),
            digest: digest_of(changes.iter().map(|change| (&change.id, change.kind, change.digest.as_str()))),
            changes,
        }
    }

    /// Whether nothing would be changed and everything could be looked at.
    pub fn is_clean(&self) -> bool {
        self.changes.is_empty() && self.unchecked.is_empty()
    }

    /// The changes as whoever agrees to them hands them on.
    pub fn agreed(&self) -> Vec<Agreed> {
        let agreed = |change: &PendingChange| Agreed {
            id: change.id.clone(),
            kind: change.kind,
            digest: change.digest.clone(),
        };
        self.changes.iter().map(agreed).collect()
    }

    /// What is different between what was agreed upon and these changes.
    ///
    /// What could not be known when it was agreed upon may turn out in any way, and a reaction may have fewer
    /// causes than it had.
    pub fn compare(&self, agreed: &[Agreed]) -> Difference {
        let before: BTreeMap<&StateId, &Agreed> = agreed.iter().map(|agreed| (&agreed.id, agreed)).collect();
        let mut difference = Difference { unchecked: self.unchecked.clone(), ..Difference::default() };
        for change in &self.changes {
            let told = || (change.id.clone(), change.summary.clone());
            match before.get(&change.id) {
                None => difference.new.push(told()),
                Some(agreed) if !agreed.covers(change.kind, &change.digest) => {
                    difference.different.push(told())
                }
                Some(_) => {}
            }
        }
        let is_gone = |agreed: &&Agreed| !self.changes.iter().any(|change| change.id == agreed.id);
        difference.gone = agreed.iter().filter(is_gone).map(|agreed| agreed.id.clone()).collect();
        difference
    }
}

/// One digest over the names of states, and kinds and digests of their changes, in their order.
pub(crate) fn digest_of<'a>(changes: impl Iterator<Item = (&'a StateId, PendingKind, &'a str)>) -> String {
    let mut hasher = Sha256::new();
    for (id, kind, digest) in changes {
        hasher.update(format!("{} {id} {} {digest}\n", id.as_str().len(), kind.name()));
    }
    hex::encode(hasher.finalize())
}

impl Agreed {
    /// The digest over a list of agreed changes: that of the [`ChangeSet`] they were taken from.
    pub fn digest_of(agreed: &[Self]) -> String {
        digest_of(agreed.iter().map(|agreed| (&agreed.id, agreed.kind, agreed.digest.as_str())))
    }

    /// Whether such a change is what was agreed upon.
    pub fn covers(&self, kind: PendingKind, digest: &str) -> bool {
        match self.kind {
            PendingKind::Unknown => true,
            PendingKind::React => kind == PendingKind::React,
            PendingKind::Create | PendingKind::Update | PendingKind::Remove | PendingKind::Run => {
                self.digest == digest
            }
        }
    }
}

impl PendingChange {
    /// What would be changed of this state; `None` where nothing would be.
    pub fn of(step: &PlanStep) -> Option<Self> {
        let (kind, summary) = step.planned.pending(&step.what)?;
        let diff = match &step.planned {
            Planned::Change { change } => Some(change.diff()).filter(|text| !text.is_empty()),
            _ => None,
        };
        let exact = serde_json::to_vec(&(&step.id, &step.planned)).expect("a plan has only string keys");
        Some(Self {
            id: step.id.clone(),
            what: step.what.clone(),
            kind,
            summary,
            diff: diff.map(|text| Diff { text, cut_lines: 0 }),
            digest: hex::encode(Sha256::digest(exact)),
        })
    }
}

impl Difference {
    /// Whether something would be done that nobody has agreed upon, or nobody can say.
    pub fn is_refused(&self) -> bool {
        !(self.new.is_empty() && self.different.is_empty() && self.unchecked.is_empty())
    }

    /// A line for each thing that is different.
    pub fn lines(&self) -> Vec<String> {
        let new = self.new.iter().map(|(id, what)| format!("new: `{id}`: {what}"));
        let different = self.different.iter().map(|(id, what)| format!("different: `{id}`: {what}"));
        let unchecked = self.unchecked.iter().map(|state| {
            let why = std::iter::once(&state.error).chain(&state.causes).map(String::as_str);
            format!("cannot be looked at: `{}`: {}", state.id, why.collect::<Vec<_>>().join(": "))
        });
        let gone = self.gone.iter().map(|id| format!("gone: `{id}`: nothing is to be done any more"));
        new.chain(different).chain(unchecked).chain(gone).collect()
    }
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests;
