//! Whether a node may go.

use metalk8s_diagnostics::explain;
use metalk8s_types::{Role, fleet::Agent};

use super::{
    super::{
        failure::{Failure, told},
        runs::Done,
    },
    RemoveNode,
};

/// How a node stands that shall go.
#[derive(Debug, Clone, Default)]
struct Standing<'a> {
    node: &'a str,
    /// It holds archives and authorities.
    is_bootstrap: bool,
    /// It is a master, and there is no other.
    is_last_master: bool,
    /// Why etcd would have no majority without it.
    majority_lost: Option<String>,
    /// It has an agent that does not answer.
    is_silent: bool,
    /// Its kubelet is not Ready: nobody there ends pods.
    is_down: bool,
    /// Its machine was given up.
    force: bool,
}

impl RemoveNode {
    pub(super) async fn check(&self) -> Result<Done, Failure> {
        let agents = self.hands.fleet.agents().await.map_err(|error| told(&error))?;
        let agent = agents.iter().find(|agent| agent.metadata.name.as_deref() == Some(&*self.name));
        let node = self.node().await?;
        if agent.is_none() && node.is_none() {
            return Ok(Done::nothing(format!("there is no node `{}`: nothing to do", self.name)));
        }
        let settings = self.hands.settings().await?;
        let standing = Standing {
            node: &self.name,
            is_bootstrap: self.name == settings.ca_node
                || agent.is_some_and(|agent| has(agent, Role::Bootstrap)),
            is_last_master: agent.is_some_and(|agent| has(agent, Role::Master))
                && settings.masters.len() == 1,
            majority_lost: self.hands.majority_lost_without(&self.name, &settings).await?,
            is_silent: agent.is_some() && !self.hands.answers(&self.name).await?,
            is_down: node.is_some_and(|node| !node.is_ready && !node.kubelet_version.is_empty()),
            force: self.spec.procedure.force,
        };
        let mistakes = standing.mistakes();
        if !mistakes.is_empty() {
            let code = if standing.is_unheard() { explain::AGENT_SILENT } else { explain::NODE_NEEDED };
            return Err(Failure::of_lines(code, mistakes));
        }
        Ok(Done::nothing(match (standing.is_silent, agent) {
            (true, _) => "its agent does not answer, and its machine is given up",
            (false, Some(_)) => "nothing speaks against it",
            (false, None) => "it was never deployed",
        }))
    }
}

impl Standing<'_> {
    /// Whether nothing but its silence speaks against its removal. Pure.
    fn is_unheard(&self) -> bool {
        !self.is_bootstrap && !self.is_last_master && self.majority_lost.is_none()
    }

    /// All that speaks against its removal. Pure.
    fn mistakes(&self) -> Vec<String> {
        let Self { node, is_bootstrap, is_last_master, majority_lost, is_silent, is_down, force } = self;
        let mut mistakes = Vec::new();
        if *is_bootstrap {
            mistakes.push(format!(
                "`{node}` is the Bootstrap node, which holds the archives and the authorities: a cluster cannot be \
                 without it; `metalk8s reset --force` on each machine ends a cluster"
            ));
        }
        if *is_last_master {
            mistakes
                .push(format!("`{node}` is the last master: deploy another node with the role master first"));
        }
        if let Some(why) = majority_lost {
            mistakes
                .push(format!("{why}; repair the members that do not answer, or deploy another one, first"));
        }
        if *is_silent && !force {
            mistakes.push(format!(
                "the agent of `{node}` does not answer, so that nothing can be undone on its machine: start the \
                 machine and its metalk8s-agent.service; where the machine is lost, --force goes on without it"
            ));
        }
        if *is_down && !force {
            mistakes.push(format!(
                "the kubelet of `{node}` is not Ready, so that nobody ends its pods: `kubectl describe node {node}` \
                 tells why; where the machine is lost, --force takes its pods as ended"
            ));
        }
        mistakes
    }
}

fn has(agent: &Agent, role: Role) -> bool {
    agent.spec.roles.contains(&role)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_speaks_against_a_removal_is_told_at_once() {
        let standing = Standing {
            node: "bootstrap",
            is_bootstrap: true,
            is_last_master: true,
            majority_lost: Some("it has the only member of etcd".into()),
            is_silent: true,
            is_down: true,
            force: false,
        };
        let mistakes = standing.mistakes();
        let found =
            ["Bootstrap node", "last master", "only member of etcd", "--force goes on", "--force takes"]
                .map(|word| mistakes.iter().filter(|line| line.contains(word)).count());
        assert_eq!((found, mistakes.len()), ([1; 5], 5));
    }

    #[test]
    fn a_lost_machine_is_given_up_by_force_and_a_majority_is_not() {
        let lost =
            Standing { node: "node1", is_silent: true, is_down: true, force: true, ..Standing::default() };
        assert_eq!(lost.mistakes(), [""; 0]);
        let needed = Standing { majority_lost: Some("etcd".into()), ..lost };
        assert_eq!(needed.mistakes().len(), 1);
    }
}
