//! What the steps of a deployment would do. Nothing is changed by it but that the program of the version is brought
//! to a machine that has no agent yet, to look, and that the key of that machine is remembered.

use std::collections::BTreeSet;

use metalk8s_formulas::REMOVABLE;
use metalk8s_types::Role;

use super::{
    super::{
        drain::would_leave,
        etcd::{Member, peer_url},
        failure::{Failure, told},
        hands::FleetHands,
        runs::{Done, Procedure},
    },
    DeployNode,
    member::{Registration, registration},
};

impl DeployNode {
    pub(super) async fn would(&mut self, step: &str) -> Result<Done, Failure> {
        match step {
            "cordon" => self.would_cordon().await,
            "drain" => match self.undisturbed().await? {
                Some(why) => Ok(Done::nothing(why)),
                None => would_leave(&self.hands, &self.name).await,
            },
            "prepare" => self.would_prepare().await,
            "accept" => self.would_accept().await,
            "agent" if self.is_joined().await? => Ok(Done::nothing("its agent answers")),
            "agent" => Ok(Done::change("its agent would be started", format!("agent on {}", self.name))),
            "retire" => self.would_retire().await,
            "register" if !self.is_let_in().await? => Ok(Done::nothing("it is none")),
            "register" | "etcd" | "vote" if !self.joins_etcd().await? => Ok(Done::nothing("it has none")),
            "register" => self.would_register().await,
            "etcd" if self.was(Role::Etcd).await? => Ok(Done::nothing("it is looked at with its roles")),
            "etcd" => Ok(Done::change("it would be started", "member of etcd")),
            "vote" => self.would_vote().await,
            "apply" => self.would_apply().await,
            "ready" => Ok(Done::nothing(match self.node().await?.is_ready {
                true => "it is Ready",
                false => "it would be waited for",
            })),
            "proxies" => self.would_tell_proxies().await,
            "uncordon" => self.would_uncordon().await,
            // The others only look.
            _ => self.carry_out(step).await,
        }
    }

    /// Whether it has been deployed with this role.
    async fn was(&self, role: Role) -> Result<bool, Failure> {
        Ok(self.hands.agent(&self.name).await?.is_some_and(|agent| agent.spec.roles.contains(&role)))
    }

    async fn would_cordon(&mut self) -> Result<Done, Failure> {
        match self.undisturbed().await? {
            Some(why) => Ok(Done::nothing(why)),
            None if self.node().await?.is_cordoned => Ok(Done::nothing("it was closed before")),
            None => Ok(Done::change("no pod would come any more", "cordoned")),
        }
    }

    async fn would_prepare(&mut self) -> Result<Done, Failure> {
        if !self.is_joined().await? {
            return Ok(Done::change("packages would be installed", "packages of a node"));
        }
        Ok(match self.becomes_master().await? {
            true => Done::change("it would get the keys that masters share", "keys of masters"),
            false => Done::nothing("its agent answers"),
        })
    }

    async fn would_accept(&mut self) -> Result<Done, Failure> {
        let node = self.node().await?;
        let Some(agent) = self.hands.agent(&self.name).await? else {
            let roles: Vec<_> = node.roles.iter().map(|role| role.name()).collect();
            return Ok(Done::change(
                format!("it would be a node of the fleet with roles {}", roles.join(", ")),
                format!("key of `{}`", self.name),
            ));
        };
        let mut changes = differences(&agent.spec.roles, &node.roles);
        if agent.spec.version != self.version {
            changes.push(format!("version {} instead of {}", self.version, agent.spec.version));
        }
        if self.is_joined().await? {
            let (known, now) = (agent.spec.addresses, self.addresses_now(&agent).await?);
            if now != known {
                changes.push(format!("address {} instead of {}", now.control_plane, known.control_plane));
            }
        }
        Ok(Done { comment: "its key was accepted before".into(), changes })
    }

    async fn would_retire(&mut self) -> Result<Done, Failure> {
        let roles = self.node().await?.roles;
        let mut changes = Vec::new();
        for role in REMOVABLE {
            if !roles.contains(&role) && self.was(role).await? {
                changes.push(format!("what the role {} has left", role.name()));
            }
        }
        Ok(match changes.is_empty() {
            true => Done::nothing("it loses none"),
            false => Done { comment: "the others would go on without".to_owned(), changes },
        })
    }

    /// The members of etcd on other nodes, and where they would reach the one of this node.
    async fn members(&mut self) -> Result<(Vec<Member>, String), Failure> {
        let settings = self.hands.settings().await?;
        let addresses = match self.hands.agent(&self.name).await? {
            Some(agent) if self.is_joined().await? => Some(self.addresses_now(&agent).await?),
            Some(agent) => Some(agent.spec.addresses),
            None => self.addresses,
        };
        let address = addresses.ok_or_else(|| self.has_no_address())?.control_plane;
        let etcd = FleetHands::etcd_but_of(&self.name, &settings)?;
        Ok((etcd.members().await.map_err(|error| told(&error))?, peer_url(address)))
    }

    async fn would_register(&mut self) -> Result<Done, Failure> {
        let (members, own) = self.members().await?;
        let with_data = self.is_joined().await?;
        let way = registration(&members, &self.name, &own, with_data);
        let count = members.len();
        let comment = match way {
            Registration::Known => format!("etcd has {count} members"),
            Registration::Moved { .. } => "the others would reach it elsewhere".to_owned(),
            Registration::New => format!("etcd would have {} members", count + 1),
        };
        Ok(Done { comment, changes: way.change(&own).into_iter().collect() })
    }

    async fn would_vote(&mut self) -> Result<Done, Failure> {
        let (members, own) = self.members().await?;
        let with_data = self.is_joined().await?;
        let votes = match registration(&members, &self.name, &own, with_data) {
            Registration::Known => {
                members.iter().any(|member| member.peer_urls.contains(&own) && !member.is_learner)
            }
            Registration::Moved { id, .. } => {
                members.iter().any(|member| member.id == id && !member.is_learner)
            }
            Registration::New => false,
        };
        Ok(match votes {
            true => Done::nothing("it has a vote"),
            false => Done::change(
                "it would have a vote once it has learnt",
                format!("vote of the member at {own}"),
            ),
        })
    }

    /// Whether its machine has other addresses than the fleet knows.
    async fn has_moved(&mut self) -> Result<bool, Failure> {
        match self.hands.agent(&self.name).await? {
            Some(agent) if self.is_joined().await? => {
                Ok(self.addresses_now(&agent).await? != agent.spec.addresses)
            }
            _ => Ok(false),
        }
    }

    /// The agent judges by what the node shall be now; what it does not know of yet, it cannot.
    async fn would_apply(&mut self) -> Result<Done, Failure> {
        let node = self.node().await?;
        let agent = self.hands.agent(&self.name).await?;
        let is_known =
            agent.is_some_and(|agent| agent.spec.roles == node.roles && agent.spec.version == self.version);
        if is_known && self.is_joined().await? && !self.has_moved().await? {
            return self.hands.foresee(&self.name, &self.version, "state.highstate").await;
        }
        let roles = node.roles.iter().map(|role| format!("states of the role {}", role.name()));
        Ok(Done { comment: "all states of its roles would be applied".into(), changes: roles.collect() })
    }

    async fn would_tell_proxies(&mut self) -> Result<Done, Failure> {
        if !self.node().await?.roles.contains(&Role::Master) {
            return Ok(Done::nothing("it has none"));
        }
        let is_known = self.was(Role::Master).await? && !self.has_moved().await?;
        Ok(match is_known {
            true => Done::nothing("they know it"),
            false => Done::change("all would balance over it, too", "neighbours of the other nodes"),
        })
    }

    async fn would_uncordon(&mut self) -> Result<Done, Failure> {
        let is_closed = self.node().await?.is_cordoned || self.undisturbed().await?.is_none();
        Ok(match is_closed {
            true => Done::change("pods might come again", "uncordoned"),
            false => Done::nothing("pods may come"),
        })
    }
}

/// What becomes of the roles of a node, a line each. Pure.
fn differences(has: &BTreeSet<Role>, shall_have: &BTreeSet<Role>) -> Vec<String> {
    let gained = shall_have.difference(has).map(|role| format!("role {}", role.name()));
    let lost = has.difference(shall_have).map(|role| format!("no role {} any more", role.name()));
    gained.chain(lost).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gained_and_lost_roles_are_told_and_kept_ones_are_not() {
        let told = differences(&[Role::Node, Role::Infra].into(), &[Role::Node, Role::Etcd].into());
        assert_eq!(told, ["role etcd", "no role infra any more"]);
    }
}
