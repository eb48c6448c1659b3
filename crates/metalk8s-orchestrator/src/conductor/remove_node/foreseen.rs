//! What the steps of a removal would do. Nothing is changed by it.

use metalk8s_types::Role;

use super::{
    super::{
        drain::would_leave,
        failure::{Failure, told},
        runs::{Done, Procedure},
    },
    RemoveNode,
};

impl RemoveNode {
    pub(super) async fn would(&mut self, step: &str) -> Result<Done, Failure> {
        match step {
            "cordon" => Ok(match self.node().await? {
                None => Done::nothing("it has no Node object"),
                Some(node) if node.is_cordoned => Done::nothing("it was closed before"),
                Some(_) => Done::change("no pod would come any more", "cordoned"),
            }),
            "drain" => match self.why_undrained().await? {
                Some(why) => Ok(Done::nothing(why)),
                None => would_leave(&self.hands, &self.name).await,
            },
            "retire" => self.would_retire().await,
            "redirect" => Ok(match self.no_agent().await? {
                Some(why) => Done::nothing(why),
                None => Done::nothing("it would speak to the API server of another master"),
            }),
            "etcd" => self.would_leave_etcd().await,
            "machine" => self.would_reset().await,
            "leave" => Ok(match self.no_agent().await? {
                Some(why) => Done::nothing(why),
                None => Done::change("it would end, with its files", format!("agent on {}", self.name)),
            }),
            "forget" => self.would_forget().await,
            // What is left only looks.
            _ => self.carry_out(step).await,
        }
    }

    async fn would_retire(&self) -> Result<Done, Failure> {
        let Some(agent) = self.hands.agent(&self.name).await? else {
            return Ok(Done::nothing("it is no node of the fleet"));
        };
        let roles: Vec<_> =
            [Role::Master, Role::Etcd].into_iter().filter(|role| agent.spec.roles.contains(role)).collect();
        if roles.is_empty() {
            return Ok(Done::nothing("no other node depends on it"));
        }
        let changes = roles.iter().map(|role| format!("role {}", role.name())).collect();
        Ok(Done { comment: "the other nodes would do without it".into(), changes })
    }

    async fn would_leave_etcd(&self) -> Result<Done, Failure> {
        let (_, members, own) = self.hands.member_of(&self.name).await?;
        Ok(match own {
            None => Done::nothing("it has none"),
            Some(member) => Done::change(
                format!("etcd would have {} members", members - 1),
                format!("member {} of etcd", member.id),
            ),
        })
    }

    async fn would_forget(&self) -> Result<Done, Failure> {
        let mut changes = Vec::new();
        if self.node().await?.is_some() {
            changes.push(format!("Node {}", self.name));
        }
        if self.hands.agent(&self.name).await?.is_some() {
            changes.push(format!("agent of {}, with its key, its rights and its jobs", self.name));
        }
        let pods = self.hands.fleet.pods_on(&self.name).await.map_err(|error| told(&error))?;
        if !pods.is_empty() {
            changes.push("pods of daemon sets and of the node itself".to_owned());
        }
        Ok(match changes.is_empty() {
            true => Done::nothing("nothing of it is left"),
            false => Done { comment: "the cluster would not know it any more".into(), changes },
        })
    }
}
