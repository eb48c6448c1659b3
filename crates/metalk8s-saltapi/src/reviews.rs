//! What the cluster is asked about people.

use async_trait::async_trait;
use metalk8s_kube::{
    Fleet,
    fleet::{FleetError, Identity},
};

/// Who knows people and their rights; [`Fleet`] asks the Kubernetes API.
#[async_trait]
pub trait Reviews: Send + Sync {
    /// Whose this token is, if anybody's.
    async fn review_token(&self, token: &str) -> Result<Option<Identity>, FleetError>;

    /// Whether somebody may do this with all agents.
    async fn may_with_agents(&self, who: &Identity, verb: &str) -> Result<bool, FleetError>;
}

#[async_trait]
impl Reviews for Fleet {
    async fn review_token(&self, token: &str) -> Result<Option<Identity>, FleetError> {
        Self::review_token(self, token).await
    }

    async fn may_with_agents(&self, who: &Identity, verb: &str) -> Result<bool, FleetError> {
        Self::may_with_agents(self, who, verb).await
    }
}
