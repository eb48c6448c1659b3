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

/// What becomes of the member of a node in the list that the others have.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Registration {
    /// It is there, at its address.
    Known,
    /// It is there at the address that its machine had; with what it holds it goes on at the new one.
    Moved {
        /// Its id, a number in text.
        id: String,
        /// Where the others would reach it.
        former: String,
    },
    /// It is not there.
    New,
}

impl Registration {
    /// What is changed, for people.
    pub(super) fn change(&self, own: &str) -> Option<String> {
        match self {
            Self::Known => None,
            Self::Moved { former, .. } => Some(format!("member at {own} instead of {former}")),
            Self::New => Some(format!("member at {own}")),
        }
    }
}

/// What to do with the member of a node that shall be reached at `own`. Pure.
///
/// Only a machine `with_data` of a node that was one goes on with a member of its name: an empty one that took its
/// place would have forgotten what it has agreed to.
pub(super) fn registration(members: &[Member], node: &str, own: &str, with_data: bool) -> Registration {
    if members.iter().any(|member| member.peer_urls.iter().any(|url| url == own)) {
        return Registration::Known;
    }
    match members.iter().find(|member| member.name == node) {
        Some(member) if with_data => Registration::Moved {
            id: member.id.clone(),
            former: member.peer_urls.first().cloned().unwrap_or_default(),
        },
        _ => Registration::New,
    }
}

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

    /// Whether others let it in as a master or a member of etcd.
    pub(super) async fn is_let_in(&mut self) -> Result<bool, Failure> {
        let roles = self.node().await?.roles;
        let needs = roles.contains(&Role::Master) || roles.contains(&Role::Etcd);
        Ok(needs && !roles.contains(&Role::Bootstrap))
    }

    /// The member is registered before its static pod is written: an etcd that starts earlier does not find
    /// itself in the list of members, and ends. Before that the others open their firewalls for it, and for the API
    /// server that comes with it.
    pub(super) async fn register(&mut self) -> Result<Done, Failure> {
        if !self.is_let_in().await? {
            return Ok(Done::nothing("it is none"));
        }
        let settings = self.hands.settings().await?;
        let others = settings.etcd.into_keys().chain(settings.masters.into_keys());
        let others = others.filter(|name| *name != self.name).collect();
        let mut changes = self.hands.tell_nodes(others).await?.changes;
        if !self.joins_etcd().await? {
            return Ok(Done { comment: "it has no member of etcd".into(), changes });
        }
        let (etcd, own) = self.other_members().await?;
        let mut members = etcd.members().await.map_err(|error| told(&error))?;
        let with_data = self.is_joined().await?;
        let way = registration(&members, &self.name, &own, with_data);
        match &way {
            Registration::Known => {}
            Registration::Moved { id, .. } => etcd.relocate(id, &own).await.map_err(|error| told(&error))?,
            Registration::New => etcd.add_learner(&own).await.map_err(|error| told(&error))?,
        }
        if let Some(change) = way.change(&own) {
            members = etcd.members().await.map_err(|error| told(&error))?;
            changes.push(change);
        }
        let agent = self.hands.agent(&self.name).await?;
        let agent = agent.ok_or_else(|| self.has_left())?;
        if agent.spec.initial_cluster.is_none() || !matches!(way, Registration::Known) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, id: &str, url: &str) -> Member {
        Member { id: id.into(), name: name.into(), peer_urls: vec![url.into()], is_learner: false }
    }

    #[test]
    fn a_member_moves_with_its_machine_and_an_empty_machine_is_a_new_one() {
        let members = [member("a", "1", "https://10.0.0.1:2380"), member("b", "2", "https://10.0.0.2:2380")];
        let of = |own: &str, with_data| registration(&members, "b", own, with_data);
        assert_eq!(of("https://10.0.0.2:2380", true), Registration::Known);
        let moved = of("https://10.0.0.9:2380", true);
        let former = "https://10.0.0.2:2380".to_owned();
        assert_eq!(moved, Registration::Moved { id: "2".into(), former });
        let told = moved.change("https://10.0.0.9:2380").unwrap();
        assert!(told.contains("10.0.0.9:2380 instead of https://10.0.0.2:2380"), "{told}");
        assert_eq!(of("https://10.0.0.9:2380", false), Registration::New);
        assert_eq!(registration(&members, "c", "https://10.0.0.3:2380", true), Registration::New);
    }
}
