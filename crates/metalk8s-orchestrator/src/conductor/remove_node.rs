//! `metalk8s.orchestrate.remove_node`: a node leaves the cluster, and its machine is as it was before.

mod check;
mod foreseen;
mod machine;

use metalk8s_diagnostics::explain;
use metalk8s_kube::{Fleet, fleet::NodeFacts};
use metalk8s_types::{Role, fleet::RunSpec, pillar::NodeWish};

use super::{
    ConductorConfig,
    drain::Drain,
    failure::{Failure, told},
    hands::FleetHands,
    runs::{Done, Planned, Procedure},
};

const STEPS: &[Planned] = &[
    ("check", "Checking that the node may go"),
    ("cordon", "Closing the node for pods"),
    ("drain", "Having its pods go elsewhere"),
    ("retire", "Taking its roles, and telling the other nodes"),
    ("redirect", "Leading its agent to another API server"),
    ("etcd", "Removing its member of etcd"),
    ("machine", "Undoing what was done on the machine"),
    ("leave", "Ending its agent"),
    ("forget", "Forgetting the node"),
];

/// The removal of one node. What was removed by an earlier attempt is found to be gone.
pub(super) struct RemoveNode {
    hands: FleetHands,
    name: String,
    spec: RunSpec,
    /// Its agent did not answer, and this is forced: it is not asked again.
    is_given_up: bool,
}

impl RemoveNode {
    pub(super) fn new(fleet: &Fleet, config: &ConductorConfig, run: &str, spec: &RunSpec) -> Self {
        let hands = FleetHands::new(fleet, config, run);
        Self { hands, name: spec.procedure.node.clone(), spec: spec.clone(), is_given_up: false }
    }
}

impl Procedure for RemoveNode {
    fn steps(&self) -> &'static [Planned] {
        STEPS
    }

    async fn carry_out(&mut self, step: &str) -> Result<Done, Failure> {
        match step {
            "check" => self.check().await,
            "cordon" => self.cordon().await,
            "drain" => self.drain().await,
            "retire" => self.retire().await,
            "redirect" => self.redirect().await,
            "etcd" => self.hands.leave_etcd(&self.name).await,
            "machine" => self.machine().await,
            "leave" => self.leave().await,
            "forget" => self.forget().await,
            other => Err(Failure::new(explain::UNEXPECTED, format!("there is no step `{other}`"))),
        }
    }

    async fn foresee(&mut self, step: &str) -> Result<Done, Failure> {
        self.would(step).await
    }

    async fn tell(&self, message: &str) {
        self.hands.tell(message).await;
    }
}

impl RemoveNode {
    async fn node(&self) -> Result<Option<NodeFacts>, Failure> {
        self.hands.fleet.node(&self.name).await.map_err(|error| told(&error))
    }

    async fn cordon(&self) -> Result<Done, Failure> {
        if self.node().await?.is_none() {
            return Ok(Done::nothing("it has no Node object"));
        }
        self.hands.cordon(&self.name).await
    }

    async fn drain(&self) -> Result<Done, Failure> {
        match self.why_undrained().await? {
            Some(why) => Ok(Done::nothing(why)),
            None => Drain::of(&self.spec).empty(&self.hands, &self.name).await,
        }
    }

    /// Why its pods stay where they are.
    async fn why_undrained(&self) -> Result<Option<&'static str>, Failure> {
        Ok(self.node().await?.is_none().then_some("it has no Node object"))
    }

    /// Nobody uses its API server and its member of etcd any more, while both still work.
    async fn retire(&self) -> Result<Done, Failure> {
        let Some(agent) = self.hands.agent(&self.name).await? else {
            return Ok(Done::nothing("it is no node of the fleet"));
        };
        let roles = agent.spec.roles.clone();
        if !roles.contains(&Role::Master) && !roles.contains(&Role::Etcd) {
            return Ok(Done::nothing("no other node depends on it"));
        }
        let wish = NodeWish { roles: [Role::Node].into(), initial_cluster: None, ..agent.spec.wish() };
        let mut changes = self.hands.shall_be(&self.name, &wish).await?;
        changes.extend(self.hands.renew_settings().await?);
        let told_to = self.hands.tell_others(Some(&self.name)).await?;
        changes.extend(told_to.changes);
        Ok(Done { comment: told_to.comment, changes })
    }

    /// The Node first: whoever lists nodes sees none whose agent is gone.
    async fn forget(&self) -> Result<Done, Failure> {
        let mut changes = Vec::new();
        if self.hands.fleet.delete_node(&self.name).await.map_err(|error| told(&error))? {
            changes.push(format!("Node {}", self.name));
        }
        // Nothing runs there any more; nobody else would say so for a minute.
        let pods = self.hands.fleet.pods_on(&self.name).await.map_err(|error| told(&error))?;
        for pod in &pods {
            self.hands.fleet.delete_pod_of_lost_machine(pod).await.map_err(|error| told(&error))?;
        }
        if !pods.is_empty() {
            changes.push(format!("{} pods of daemon sets and of the node itself", pods.len()));
        }
        let requests = self.hands.fleet.delete_requests_of(&self.name).await;
        match requests.map_err(|error| told(&error))? {
            0 => {}
            count => changes.push(format!("{count} requests for certificates")),
        }
        if self.hands.fleet.remove_agent(&self.name).await.map_err(|error| told(&error))? {
            changes.push(format!("agent of {}, with its key, its rights and its jobs", self.name));
        }
        changes.extend(self.hands.renew_settings().await?);
        let comment = match changes.is_empty() {
            true => "nothing of it was left",
            false => "the cluster does not know it any more",
        };
        Ok(Done { comment: comment.to_owned(), changes })
    }
}
