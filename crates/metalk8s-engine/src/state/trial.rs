//! States that only pretend, to try requisites.

use serde::{Deserialize, Serialize};

use crate::{Change, ChangeKind, StateError};

/// A state that does nothing, but says that it did. The only one besides commands that is never true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// What it is called.
    pub name: String,
    /// Whether it says that it changes something.
    pub changes: bool,
    /// Whether it goes well.
    pub succeeds: bool,
    /// What it says.
    pub says: String,
}

impl Trial {
    /// What any hands find.
    ///
    /// # Errors
    /// When it is to fail without a change.
    pub fn check(&self) -> Result<Option<Change>, StateError> {
        match (self.changes, self.succeeds) {
            (false, true) => Ok(None),
            (false, false) => Err(StateError::new(&*self.says)),
            (true, _) => Ok(Some(Change::new(ChangeKind::Update, &*self.says))),
        }
    }

    /// What any hands do.
    ///
    /// # Errors
    /// When it is to fail.
    pub fn apply(&self, change: &Change) -> Result<(), StateError> {
        if self.succeeds {
            return Ok(());
        }
        Err(StateError::new(&*self.says).having_done(change.clone()))
    }
}
