//! A node whose member of etcd leaves, because the node goes or has another role.

use metalk8s_diagnostics::sentence;
use metalk8s_types::pillar::ClusterPillar;

use super::{
    etcd::{Etcd, Member, majority_lost},
    failure::{Failure, told},
    hands::FleetHands,
    runs::Done,
};

impl FleetHands {
    /// Why etcd would have no majority without the member of a node; `None` where it would, or there is none.
    pub(super) async fn majority_lost_without(
        &self,
        node: &str,
        settings: &ClusterPillar,
    ) -> Result<Option<String>, Failure> {
        let address = self.agent(node).await?.map(|agent| agent.spec.addresses.control_plane);
        let etcd = Etcd::new(settings.etcd.values().copied().collect()).map_err(|error| told(&error))?;
        let members = etcd.members().await.map_err(|error| told(&error))?;
        let Some(leaving) = members.iter().find(|member| member.is_of(node, address)) else {
            return Ok(None);
        };
        // A learner has no vote: nobody misses it.
        if leaving.is_learner {
            return Ok(None);
        }
        let voters = members.iter().filter(|member| !member.is_learner).map(async |member| {
            let one = member.address().and_then(|address| Etcd::new(vec![address]).ok());
            let is_healthy = match one {
                Some(etcd) => etcd.is_healthy().await,
                None => false,
            };
            (member.name.clone(), is_healthy)
        });
        let voters = futures::future::join_all(voters).await;
        Ok(majority_lost(&voters, &leaving.name))
    }

    /// The etcd of the other nodes, how many members it has with the one of this node, and that one.
    pub(super) async fn member_of(&self, node: &str) -> Result<(Etcd, usize, Option<Member>), Failure> {
        let address = self.agent(node).await?.map(|agent| agent.spec.addresses.control_plane);
        let settings = self.settings().await?;
        let etcd = Self::etcd_but_of(node, &settings)?;
        let members = etcd.members().await.map_err(|error| told(&error))?;
        let count = members.len();
        Ok((etcd, count, members.into_iter().find(|member| member.is_of(node, address))))
    }

    /// The member of a node is taken out of etcd, by the others.
    pub(super) async fn leave_etcd(&self, node: &str) -> Result<Done, Failure> {
        let (etcd, count, own) = self.member_of(node).await?;
        let Some(member) = own else { return Ok(Done::nothing("it has none")) };
        let members = etcd.members().await.map_err(|error| told(&error))?;
        // A member that is lost leads nobody.
        if let Err(error) = etcd.hand_over(&members, &member).await {
            tracing::info!(error = sentence(&error), "the member goes without handing over");
        }
        etcd.remove(&member.id).await.map_err(|error| told(&error))?;
        let left = count - 1;
        Ok(Done::change(format!("etcd has {left} members"), format!("member {} of etcd", member.id)))
    }
}
