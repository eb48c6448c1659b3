//! `metalk8s.orchestrate.deploy_node`: a machine becomes what its Node object says (EXP-17).

mod contact;
mod foreseen;
mod member;
mod moved;

use std::{collections::BTreeSet, time::Duration};

use metalk8s_diagnostics::explain;
use metalk8s_kube::{Fleet, fleet::NodeFacts};
use metalk8s_ssh::Session;
use metalk8s_types::{
    Role,
    fleet::RunSpec,
    labels,
    pillar::{ClusterPillar, NodeAddresses},
};
use tokio::time::{Instant, sleep};

use super::{
    ConductorConfig,
    drain::Drain,
    failure::{Failure, told},
    hands::{FleetHands, PING},
    runs::{Done, Planned, Procedure},
};
use crate::{
    dispatch::{Call, job},
    ssh,
};

const STEPS: &[Planned] = &[
    ("check", "Checking the Node object"),
    ("connect", "Reaching the machine"),
    ("examine", "Examining the machine"),
    ("cordon", "Closing the node for pods"),
    ("drain", "Having its pods go elsewhere"),
    ("prepare", "Installing the agent"),
    ("accept", "Accepting the agent's key"),
    ("agent", "Waiting for the agent"),
    ("retire", "Taking roles that it shall not have any more"),
    ("register", "Registering with masters and members of etcd"),
    ("etcd", "Starting the member of etcd"),
    ("vote", "Giving the member of etcd its vote"),
    ("apply", "Applying the roles"),
    ("ready", "Waiting until the node is ready"),
    ("proxies", "Telling the other nodes of its API server"),
    ("uncordon", "Opening the node for pods"),
];

/// How long a new agent has until it answers.
const FIRST_ANSWER: Duration = Duration::from_secs(60);
/// How long the kubelet has after that.
const READY: Duration = Duration::from_secs(300);

/// A machine that was entered.
struct Machine {
    session: Session,
    /// Where the program of the version lies there, once this session has brought it.
    program: Option<String>,
}

/// The deployment of one node. What earlier steps found out is found out again where a run is resumed.
pub(super) struct DeployNode {
    hands: FleetHands,
    name: String,
    version: String,
    spec: RunSpec,
    node: Option<NodeFacts>,
    machine: Option<Machine>,
    request_pem: Option<String>,
    addresses: Option<NodeAddresses>,
    /// Whether its agent answers, so that nothing has to be done over SSH.
    is_joined: Option<bool>,
}

impl DeployNode {
    pub(super) fn new(fleet: &Fleet, config: &ConductorConfig, run: &str, spec: &RunSpec) -> Self {
        Self {
            hands: FleetHands::new(fleet, config, run),
            name: spec.procedure.node.clone(),
            version: spec.version.clone(),
            spec: spec.clone(),
            node: None,
            machine: None,
            request_pem: None,
            addresses: None,
            is_joined: None,
        }
    }
}

impl Procedure for DeployNode {
    fn steps(&self) -> &'static [Planned] {
        STEPS
    }

    async fn carry_out(&mut self, step: &str) -> Result<Done, Failure> {
        match step {
            "check" => self.check().await,
            "connect" => self.connect().await,
            "examine" => self.examine().await,
            "cordon" => self.cordon().await,
            "drain" => self.drain().await,
            "prepare" => self.prepare().await,
            "accept" => self.accept().await,
            "agent" => self.agent().await,
            "retire" => self.retire().await,
            "register" => self.register().await,
            "etcd" => self.etcd().await,
            "vote" => self.vote().await,
            "apply" => self.apply().await,
            "proxies" => self.proxies().await,
            "ready" => self.ready().await,
            "uncordon" => self.uncordon().await,
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

impl DeployNode {
    /// The Node object, as it was when this run first asked, or the machine was reached last.
    async fn node(&mut self) -> Result<NodeFacts, Failure> {
        if let Some(node) = &self.node {
            return Ok(node.clone());
        }
        let node = self.hands.fleet.node(&self.name).await.map_err(|error| told(&error))?;
        let node = node.ok_or_else(|| {
            let line = format!("there is no Node `{}`: apply its manifest first", self.name);
            Failure::new(explain::NODE_UNKNOWN, line)
        })?;
        Ok(self.node.insert(node).clone())
    }

    async fn check(&mut self) -> Result<Done, Failure> {
        let node = self.node().await?;
        let settings = self.hands.settings().await?;
        let mut mistakes = mistakes(&node, &self.version, &settings);
        let mut lost = Vec::new();
        if self.name == settings.ca_node
            && let Some(agent) = self.hands.agent(&self.name).await?
        {
            lost = lost_for_good(&agent.spec.roles, &node.roles);
        }
        lost.extend(self.needed(&node, &settings).await?);
        if !mistakes.is_empty() || !lost.is_empty() {
            let code = if mistakes.is_empty() { explain::NODE_NEEDED } else { explain::NODE_INCOMPLETE };
            mistakes.extend(lost);
            return Err(Failure::of_lines(code, mistakes));
        }
        let roles: Vec<_> = node.roles.iter().map(|role| role.name()).collect();
        Ok(Done::nothing(format!("version {}, roles {}", self.version, roles.join(", "))))
    }

    async fn is_joined(&mut self) -> Result<bool, Failure> {
        if let Some(is_joined) = self.is_joined {
            return Ok(is_joined);
        }
        let is_joined = self.hands.answers(&self.name).await?;
        Ok(*self.is_joined.insert(is_joined))
    }

    /// Why its pods stay where they are; `None` where something about it changes that pods may notice.
    async fn undisturbed(&mut self) -> Result<Option<&'static str>, Failure> {
        if self.spec.procedure.skip_draining {
            return Ok(Some("draining is skipped"));
        }
        let node = self.node().await?;
        let Some(agent) = self.hands.agent(&self.name).await? else {
            return Ok(Some("it was not deployed before"));
        };
        if agent.spec.roles == node.roles && agent.spec.version == self.version {
            return Ok(Some("its roles and its version stay"));
        }
        // Nobody there ends pods, and a deployment may be what repairs it.
        Ok((!node.is_ready).then_some("its kubelet is not Ready"))
    }

    async fn cordon(&mut self) -> Result<Done, Failure> {
        match self.undisturbed().await? {
            Some(why) => Ok(Done::nothing(why)),
            None => self.hands.cordon(&self.name).await,
        }
    }

    async fn drain(&mut self) -> Result<Done, Failure> {
        match self.undisturbed().await? {
            Some(why) => Ok(Done::nothing(why)),
            None => Drain::of(&self.spec).empty(&self.hands, &self.name).await,
        }
    }

    async fn agent(&mut self) -> Result<Done, Failure> {
        let end = Instant::now() + FIRST_ANSWER;
        loop {
            match job(&self.hands.fleet, &self.name, &Call::ping(PING)).await {
                Ok(_) => break,
                Err(error) if Instant::now() > end => return Err(told(&error)),
                Err(_) => sleep(Duration::from_millis(200)).await,
            }
        }
        // The new node may be a master, or a member of etcd: all must know it from now on.
        let changes = self.hands.renew_settings().await?;
        Ok(Done { comment: "its agent answers".into(), changes })
    }

    /// Nobody uses its API server any more, and its member of etcd has left, before their static pods end.
    async fn retire(&mut self) -> Result<Done, Failure> {
        let roles = self.node().await?.roles;
        let mut comments = Vec::new();
        let mut changes = Vec::new();
        if !roles.contains(&Role::Master) && self.has_api_server().await? {
            let told_to = self.hands.tell_others(None).await?;
            comments.push(told_to.comment);
            changes.extend(told_to.changes);
        }
        if !roles.contains(&Role::Etcd) {
            let left = self.hands.leave_etcd(&self.name).await?;
            if !left.changes.is_empty() {
                comments.push(left.comment);
                changes.extend(left.changes);
                // Nobody has to let its member in any more.
                changes.extend(self.hands.tell_others(None).await?.changes);
            }
        }
        if comments.is_empty() {
            comments.push("it loses none".to_owned());
        }
        Ok(Done { comment: comments.join("; "), changes })
    }

    /// Whether the API knows a static pod of it: its agent knows only what it shall be now.
    async fn has_api_server(&self) -> Result<bool, Failure> {
        let pods = self.hands.fleet.pods_on(&self.name).await.map_err(|error| told(&error))?;
        Ok(pods.iter().any(|pod| pod.is_mirror && pod.name.starts_with("kube-apiserver-")))
    }

    /// Why it cannot give away what it shall not have any more.
    async fn needed(&self, node: &NodeFacts, settings: &ClusterPillar) -> Result<Option<String>, Failure> {
        if node.roles.contains(&Role::Etcd) || !settings.etcd.contains_key(&self.name) {
            return Ok(None);
        }
        self.hands.majority_lost_without(&self.name, settings).await
    }

    async fn apply(&mut self) -> Result<Done, Failure> {
        let mut done = self.hands.apply(&self.name, &self.version, "state.highstate", &[]).await?;
        done.changes.extend(self.overlay_follows().await?);
        Ok(done)
    }

    /// Every node balances over all API servers.
    async fn proxies(&mut self) -> Result<Done, Failure> {
        if !self.node().await?.roles.contains(&Role::Master) {
            return Ok(Done::nothing("it has none"));
        }
        self.hands.tell_others(Some(&self.name)).await
    }

    async fn ready(&mut self) -> Result<Done, Failure> {
        let began = Instant::now();
        loop {
            let node = self.hands.fleet.node(&self.name).await;
            match node {
                Ok(Some(node)) if node.is_ready => {
                    return Ok(Done::nothing(format!("kubelet {}", node.kubelet_version)));
                }
                _ if began.elapsed() > READY => {
                    let line = format!(
                        "Node `{}` was not Ready within {} s; `kubectl describe node {}` tells why",
                        self.name,
                        READY.as_secs(),
                        self.name
                    );
                    return Err(Failure::new(explain::NODE_NOT_READY, line));
                }
                _ => sleep(Duration::from_millis(250)).await,
            }
        }
    }

    async fn uncordon(&mut self) -> Result<Done, Failure> {
        let changed = self.hands.fleet.cordon(&self.name, false).await.map_err(|error| told(&error))?;
        Ok(if changed { Done::change("pods may come", "uncordoned") } else { Done::nothing("pods may come") })
    }
}

/// Roles that the Bootstrap node cannot be without, which has lost their labels. Pure.
fn lost_for_good(has: &BTreeSet<Role>, shall_have: &BTreeSet<Role>) -> Vec<String> {
    let stays = |role: &&Role| matches!(role, Role::Bootstrap | Role::Master | Role::Etcd);
    let lost = has.difference(shall_have).filter(stays);
    lost.map(|role| {
        let key = role.key();
        format!("the Bootstrap node keeps the role {}: give it back its label `{key}`", role.name())
    })
    .collect()
}

/// All that is wrong with a Node object. Pure.
fn mistakes(node: &NodeFacts, version: &str, settings: &ClusterPillar) -> Vec<String> {
    let mut mistakes = Vec::new();
    match &node.version {
        None => mistakes.push(format!("the label `{}` is missing", labels::VERSION)),
        Some(label) if label != version => mistakes.push(format!(
            "the label `{}` is `{label}`, and version {version} was asked to be deployed",
            labels::VERSION
        )),
        Some(_) => {}
    }
    if let Err(error) = settings.version(version) {
        mistakes.push(error.to_string());
    }
    if node.roles.is_empty() {
        mistakes
            .push(format!("it has no role: a label such as `{}` says what a node is for", Role::Node.key()));
    }
    if node.roles.contains(&Role::Bootstrap) && node.name != settings.ca_node {
        mistakes.push(format!("only one node has the role bootstrap, and that is `{}`", settings.ca_node));
    }
    if node.name != settings.ca_node
        && let Err(error) = ssh::endpoint(node)
    {
        mistakes.push(error.to_string());
    }
    mistakes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bootstrap_node_keeps_its_roles_of_the_control_plane() {
        let all = BTreeSet::from([Role::Bootstrap, Role::Master, Role::Etcd, Role::Infra]);
        assert_eq!(lost_for_good(&all, &all), [""; 0]);
        let without_infra = [Role::Bootstrap, Role::Master, Role::Etcd, Role::Node];
        assert_eq!(lost_for_good(&all, &without_infra.into()), [""; 0]);
        let told = lost_for_good(&all, &[Role::Bootstrap, Role::Master].into());
        assert!(told.len() == 1 && told[0].contains("role etcd"), "{told:?}");
    }
}
