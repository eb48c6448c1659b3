//! Several pairs of hands as one.

use async_trait::async_trait;

use crate::{Change, Hands, State, StateError};

/// Gives each state to the first that takes it: the host's own hands, then the cluster's.
#[derive(Default)]
pub struct Chain<'a>(Vec<&'a dyn Hands>);

impl<'a> Chain<'a> {
    /// Hands in the order they are asked.
    pub fn new(hands: Vec<&'a dyn Hands>) -> Self {
        Self(hands)
    }

    fn find(&self, state: &State) -> Result<&'a dyn Hands, StateError> {
        let found = self.0.iter().copied().find(|hands| hands.takes(state));
        found.ok_or_else(|| StateError::new(format!("`{}` cannot be carried out here", state.label())))
    }
}

#[async_trait]
impl Hands for Chain<'_> {
    fn takes(&self, state: &State) -> bool {
        self.find(state).is_ok()
    }

    async fn check(&self, state: &State) -> Result<Option<Change>, StateError> {
        self.find(state)?.check(state).await
    }

    async fn apply(&self, state: &State, change: &Change) -> Result<Change, StateError> {
        self.find(state)?.apply(state, change).await
    }

    async fn react(&self, state: &State) -> Result<Option<Change>, StateError> {
        self.find(state)?.react(state).await
    }
}
