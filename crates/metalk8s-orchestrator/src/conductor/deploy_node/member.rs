//! A node that joins etcd: it learns first, then it has a vote.

use std::time::Duration;

use metalk8s_diagnostics::explain;
use metalk8s_types::{Role, pillar::NodeWish};
use tokio::time::{Instant, sleep};

use super::{
    super::{
        etcd::{Etcd, Member, initial_cluster, peer_url},
        failure::{Failure, told},
        hands::FleetHands,
        runs::Done,
    },
    DeployNode,
};

/// How long a member of etcd may learn before it can vote.
const LEARN: Duration = Duration::from_secs(180);

impl DeployNode {
    /// Whether it has a member of etcd that had to join one.
    pub(super) async fn joins_etcd(&mut self) -> Result<bool, Failure> {
        let node = self.node().await?;
        Ok(node.roles.contains(&Role::Etcd) && !node.roles.contains(&Role::Bootstrap))
    }

    /// The etcd of the other nodes, and where they reach the member of this one.
    async fn other_members(&mut self) -> Result<(Etcd, String), Failure> {
        let settings = self.hands.settings().await?;
        let own = settings.etcd.get(&self.name).copied();
        let own = own.ok_or_else(|| {
            let line = format!("`{}` is not known as a member of etcd", self.name);
            Failure::new(explain::NODE_INCOMPLETE, line)
        })?;
        Ok((FleetHands::etcd_but_of(&self.name, &settings)?, peer_url(own)))
    }

    /// The member is registered before its static pod is written: an etcd that starts earlier does not find
    /// itself in the list of members, and ends.
    pub(super) async fn register(&mut self) -> Result<Done, Failure> {
        if !self.joins_etcd().await? {
            return Ok(Done::nothing("it has none"));
        }
        let (etcd, own) = self.other_members().await?;
        let mut members = etcd.members().await.map_err(|error| told(&error))?;
        let is_known = |members: &[Member]| members.iter().any(|member| member.peer_urls.contains(&own));
        let mut changes = Vec::new();
        if !is_known(&members) {
            etcd.add_learner(&own).await.map_err(|error| told(&error))?;
            members = etcd.members().await.map_err(|error| told(&error))?;
            changes.push(format!("member at {own}"));
        }
        let agent = self.hands.agent(&self.name).await?;
        let agent = agent.ok_or_else(|| self.has_left())?;
        if agent.spec.initial_cluster.is_none() || !changes.is_empty() {
            let members = initial_cluster(&members, &self.name, &own);
            let wish = NodeWish { initial_cluster: Some(members), ..agent.spec.wish() };
            changes.extend(self.hands.shall_be(&self.name, &wish).await?);
        }
        let count = members.len();
        Ok(Done { comment: format!("etcd has {count} members"), changes })
    }

    pub(super) async fn etcd(&mut self) -> Result<Done, Failure> {
        if !self.joins_etcd().await? {
            return Ok(Done::nothing("it has none"));
        }
        self.hands.apply(&self.name, &self.version, "state.apply", &["metalk8s.kubernetes.etcd"]).await
    }

    /// A learner serves nobody: the API server beside it waits for this.
    pub(super) async fn vote(&mut self) -> Result<Done, Failure> {
        if !self.joins_etcd().await? {
            return Ok(Done::nothing("it has none"));
        }
        let (etcd, own) = self.other_members().await?;
        let end = Instant::now() + LEARN;
        loop {
            let members = etcd.members().await.map_err(|error| told(&error))?;
            let member = members.iter().find(|member| member.peer_urls.contains(&own));
            let member = member.ok_or_else(|| {
                Failure::new(explain::ETCD_UNHEALTHY, format!("etcd has no member at {own} any more"))
            })?;
            if !member.is_learner {
                return Ok(Done::nothing("it has a vote"));
            }
            match etcd.promote(&member.id).await {
                Ok(()) => return Ok(Done::change("it has a vote", format!("vote of the member at {own}"))),
                Err(error) if Instant::now() > end => return Err(told(&error)),
                Err(_) => sleep(Duration::from_millis(250)).await,
            }
        }
    }
}
