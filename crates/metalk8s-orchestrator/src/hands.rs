//! All hands together: those on this machine and those in the cluster.

use async_trait::async_trait;
use metalk8s_diagnostics::explain;
use metalk8s_engine::{Change, Hands, State, StateError};

/// Several pairs of hands; the first that takes a state carries it out.
pub struct AllHands(Vec<Box<dyn Hands>>);

impl AllHands {
    /// Hands in the order they are asked.
    pub fn new(hands: Vec<Box<dyn Hands>>) -> Self {
        Self(hands)
    }

    fn of(&self, state: &State) -> Result<&dyn Hands, StateError> {
        self.0
            .iter()
            .find(|hands| hands.takes(state))
            .map(AsRef::as_ref)
            .ok_or_else(|| StateError::new(format!("nobody here can carry this out ({})", explain::NO_HANDS)))
    }
}

#[async_trait]
impl Hands for AllHands {
    fn takes(&self, state: &State) -> bool {
        self.of(state).is_ok()
    }

    async fn check(&self, state: &State) -> Result<Option<Change>, StateError> {
        self.of(state)?.check(state).await
    }

    async fn apply(&self, state: &State, change: &Change) -> Result<Change, StateError> {
        self.of(state)?.apply(state, change).await
    }

    async fn react(&self, state: &State) -> Result<Option<Change>, StateError> {
        self.of(state)?.react(state).await
    }
}
