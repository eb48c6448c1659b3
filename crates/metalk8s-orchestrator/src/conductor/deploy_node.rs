//! `metalk8s.orchestrate.deploy_node`: a machine becomes what its Node object says (EXP-17).

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use jiff::Timestamp;
use metalk8s_diagnostics::sentence;
use metalk8s_engine::{Hands, journal::RunId};
use metalk8s_formulas::{agent_states, authorities};
use metalk8s_kube::{Cluster, Fleet, fleet::NodeFacts};
use metalk8s_ssh::{Command, Session};
use metalk8s_types::{
    Role, environment,
    fleet::{Agent, RunSpec},
    labels, paths,
    pillar::{ClusterPillar, NodeAddresses, NodeWish},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    ConductorConfig, cluster_pillar,
    etcd::{Etcd, Member, initial_cluster, peer_url},
    runs::{Done, Planned, Procedure},
};
use crate::{
    dispatch::{Call, job},
    join::{Accepted, Examined, Invitation, Prepared, SharedFile},
    ssh,
};

const STEPS: &[Planned] = &[
    ("check", "Checking the Node object"),
    ("connect", "Reaching the machine"),
    ("examine", "Examining the machine"),
    ("prepare", "Installing the agent"),
    ("accept", "Accepting the agent's key"),
    ("agent", "Waiting for the agent"),
    ("register", "Registering the member of etcd"),
    ("etcd", "Starting the member of etcd"),
    ("vote", "Giving the member of etcd its vote"),
    ("apply", "Applying the roles"),
    ("ready", "Waiting until the node is ready"),
    ("proxies", "Telling the other nodes of its API server"),
    ("uncordon", "Opening the node for pods"),
];

/// How long an agent has for a ping.
const PING: Duration = Duration::from_secs(5);
/// How long a new agent has until it answers.
const FIRST_ANSWER: Duration = Duration::from_secs(60);
/// How long a member of etcd may learn before it can vote.
const LEARN: Duration = Duration::from_secs(180);
/// How long the roles of a node may take.
const APPLY: Duration = Duration::from_secs(1200);
/// How long the kubelet has after that.
const READY: Duration = Duration::from_secs(300);

type Failure = Vec<String>;

/// The deployment of one node. What earlier steps found out is found out again where a run is resumed.
pub(super) struct DeployNode {
    fleet: Fleet,
    config: ConductorConfig,
    name: String,
    version: String,
    node: Option<NodeFacts>,
    session: Option<Session>,
    addresses: Option<NodeAddresses>,
    /// Whether its agent answers, so that nothing has to be done over SSH.
    is_joined: Option<bool>,
}

impl DeployNode {
    pub(super) fn new(fleet: &Fleet, config: &ConductorConfig, spec: &RunSpec) -> Self {
        Self {
            fleet: fleet.clone(),
            config: config.clone(),
            name: spec.procedure.node.clone(),
            version: spec.version.clone(),
            node: None,
            session: None,
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
            "prepare" => self.prepare().await,
            "accept" => self.accept().await,
            "agent" => self.agent().await,
            "register" => self.register().await,
            "etcd" => self.etcd().await,
            "vote" => self.vote().await,
            "apply" => self.apply().await,
            "proxies" => self.proxies().await,
            "ready" => self.ready().await,
            "uncordon" => self.uncordon().await,
            other => Err(vec![format!("there is no step `{other}`")]),
        }
    }
}

impl DeployNode {
    /// The Node object, read again each time: a person may have repaired it.
    async fn node(&mut self) -> Result<NodeFacts, Failure> {
        if let Some(node) = &self.node {
            return Ok(node.clone());
        }
        let node = self.fleet.node(&self.name).await.map_err(|error| vec![sentence(&error)])?;
        let node =
            node.ok_or_else(|| vec![format!("there is no Node `{}`: apply its manifest first", self.name)])?;
        Ok(self.node.insert(node).clone())
    }

    async fn settings(&self) -> Result<ClusterPillar, Failure> {
        let agents = self.fleet.agents().await.map_err(|error| vec![sentence(&error)])?;
        let (configuration, archives) = (&self.config.configuration, &self.config.archives);
        tokio::task::block_in_place(|| cluster_pillar(configuration, archives, &agents))
            .map_err(|error| vec![sentence(&error)])
    }

    async fn check(&mut self) -> Result<Done, Failure> {
        let node = self.node().await?;
        let settings = self.settings().await?;
        let mistakes = mistakes(&node, &self.version, &settings);
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let roles: Vec<_> = node.roles.iter().map(|role| role.name()).collect();
        Ok(Done::nothing(format!("version {}, roles {}", self.version, roles.join(", "))))
    }

    async fn own_agent(&self) -> Result<Option<Agent>, Failure> {
        self.fleet.agent(&self.name).await.map_err(|error| vec![sentence(&error)])
    }

    async fn is_joined(&mut self) -> Result<bool, Failure> {
        if let Some(is_joined) = self.is_joined {
            return Ok(is_joined);
        }
        let agent = self.own_agent().await?;
        let is_joined = match agent.and_then(|agent| agent.status) {
            Some(_) => job(&self.fleet, &self.name, &ping()).await.is_ok(),
            None => false,
        };
        Ok(*self.is_joined.insert(is_joined))
    }

    async fn connect(&mut self) -> Result<Done, Failure> {
        if self.is_joined().await? {
            return Ok(Done::nothing("its agent answers"));
        }
        let session = self.session().await?;
        Ok(Done::nothing(format!("logged in as {}", session.endpoint())))
    }

    async fn session(&mut self) -> Result<&Session, Failure> {
        if self.session.is_none() {
            let node = self.node().await?;
            self.session = Some(ssh::connect(&self.fleet, &node).await.map_err(|error| told(&error))?);
        }
        Ok(self.session.as_ref().expect("it was made above"))
    }

    /// Brings the program of the version to the machine, and calls it there with `input`.
    async fn call<T: DeserializeOwned>(
        &mut self,
        verb: &str,
        input: &impl Serialize,
        patience: Duration,
    ) -> Result<T, Failure> {
        let (name, version, archives) =
            (self.name.clone(), self.version.clone(), self.config.archives.clone());
        let session = self.session().await?;
        let program = ssh::bring_program(session, &archives, &version).await.map_err(|error| told(&error))?;
        let input = serde_json::to_vec(input).map_err(|error| vec![error.to_string()])?;
        let command = Command::new(program, patience).args(["join", verb]).stdin(input);
        let called = format!("metalk8s join {verb}");
        ssh::answer_of(session, &name, &command, &called).await.map_err(|error| told(&error))
    }

    async fn invitation(&mut self) -> Result<Invitation, Failure> {
        let node = self.node().await?;
        let shared = if node.roles.contains(&Role::Master) {
            tokio::task::block_in_place(shared_files)?
        } else {
            BTreeMap::new()
        };
        Ok(Invitation {
            node: self.name.clone(),
            version: self.version.clone(),
            roles: node.roles,
            settings: self.settings().await?,
            now: Timestamp::now(),
            shared,
        })
    }

    async fn examine(&mut self) -> Result<Done, Failure> {
        if self.is_joined().await? {
            return Ok(Done::nothing("its agent answers"));
        }
        let examined = self.examined().await?;
        let (errors, warnings) = findings(&examined.findings);
        if !errors.is_empty() {
            return Err(errors);
        }
        self.addresses = examined.addresses;
        Ok(Done {
            comment: format!("nothing speaks against it, {} warnings", warnings.len()),
            changes: warnings,
        })
    }

    /// Keys are not sent along: nothing is done yet.
    async fn examined(&mut self) -> Result<Examined, Failure> {
        let invitation = Invitation { shared: BTreeMap::new(), ..self.invitation().await? };
        self.call("examine", &invitation, Duration::from_secs(60)).await
    }

    /// Whether it is a node already and shall become a master, which needs the keys that masters share.
    async fn becomes_master(&mut self) -> Result<bool, Failure> {
        let node = self.node().await?;
        let agent = self.own_agent().await?;
        let was = agent.is_some_and(|agent| agent.spec.roles.contains(&Role::Master));
        Ok(node.roles.contains(&Role::Master) && !was)
    }

    async fn prepare(&mut self) -> Result<Done, Failure> {
        if self.is_joined().await? && !self.becomes_master().await? {
            return Ok(Done::nothing("its agent answers"));
        }
        let prepared = self.prepared().await?;
        let comment = format!("{} of {} states changed", prepared.changed, prepared.states);
        Ok(if prepared.changed == 0 {
            Done::nothing(comment)
        } else {
            Done::change(comment, "packages of a node")
        })
    }

    async fn prepared(&mut self) -> Result<Prepared, Failure> {
        let invitation = self.invitation().await?;
        self.call("prepare", &invitation, Duration::from_secs(600)).await
    }

    async fn accept(&mut self) -> Result<Done, Failure> {
        let node = self.node().await?;
        if self.is_joined().await? {
            let agent = self.own_agent().await?;
            let agent = agent.ok_or_else(|| vec![format!("`{}` has left the fleet", self.name)])?;
            let wish = NodeWish { version: self.version.clone(), roles: node.roles, ..agent.spec.wish() };
            let changes = self.join_fleet(&wish).await?;
            return Ok(Done { comment: "its key was accepted before".into(), changes });
        }
        if self.addresses.is_none() {
            self.addresses = self.examined().await?.addresses;
        }
        let addresses = self
            .addresses
            .ok_or_else(|| vec![format!("`{}` has no single address in each plane any more", self.name)])?;
        let wish =
            NodeWish { version: self.version.clone(), roles: node.roles, addresses, initial_cluster: None };
        let mut changes = self.join_fleet(&wish).await?;
        let prepared = self.prepared().await?;
        let settings = self.settings().await?;
        let kubernetes = &authorities()[0];
        let certificate_pem = self.signed(&kubernetes.signer, &prepared.request_pem).await?;
        let server = settings.masters.values().next().copied();
        let server = server.ok_or_else(|| vec!["no master is known".to_owned()])?;
        let accepted = Accepted {
            node: self.name.clone(),
            server: format!("https://{}", std::net::SocketAddr::new(server, 6443)),
            ca_pem: settings.authorities.get(kubernetes.common_name).cloned().unwrap_or_default(),
            certificate_pem,
        };
        let _: Value = self.call("finish", &accepted, Duration::from_secs(60)).await?;
        changes.push(format!("key of `{}` accepted", self.name));
        Ok(Done { comment: "its key is accepted".into(), changes })
    }

    /// Makes the node one of the fleet, with what it shall be.
    async fn join_fleet(&self, wish: &NodeWish) -> Result<Vec<String>, Failure> {
        let cluster = Cluster::lazy(&self.config.kubeconfig);
        let mut changes = Vec::new();
        for state in agent_states(&self.name, wish) {
            let failed = |error: metalk8s_engine::StateError| vec![sentence(&error)];
            if let Some(change) = cluster.check(&state).await.map_err(failed)? {
                changes.push(cluster.apply(&state, &change).await.map_err(failed)?.summary);
            }
        }
        Ok(changes)
    }

    /// The certificate for the agent's first request, through the API like all others.
    async fn signed(&self, signer: &str, request_pem: &str) -> Result<String, Failure> {
        let name = format!("metalk8s-{}-{}", self.name, RunId::at(Timestamp::now()));
        let asked =
            self.fleet.request_certificate(&name, signer, request_pem, &["digital signature", "client auth"]);
        asked.await.map_err(|error| vec![sentence(&error)])?;
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            let agent = self.own_agent().await?;
            if let Some(certificate) = agent.and_then(|mut agent| agent.spec.certificates.remove(&name)) {
                return Ok(certificate);
            }
            sleep(Duration::from_millis(100)).await;
        }
        Err(vec![format!("the request `{name}` was not signed; `kubectl describe csr {name}` tells why")])
    }

    async fn agent(&mut self) -> Result<Done, Failure> {
        let end = Instant::now() + FIRST_ANSWER;
        loop {
            match job(&self.fleet, &self.name, &ping()).await {
                Ok(_) => break,
                Err(error) if Instant::now() > end => return Err(told(&error)),
                Err(_) => sleep(Duration::from_millis(200)).await,
            }
        }
        // The new node may be a master, or a member of etcd: all must know it from now on.
        let settings = self.settings().await?;
        let known = self.fleet.settings().await.map_err(|error| vec![sentence(&error)])?;
        if known.as_ref() == Some(&settings) {
            return Ok(Done::nothing("its agent answers"));
        }
        self.fleet.write_settings(&settings).await.map_err(|error| vec![sentence(&error)])?;
        Ok(Done::change("its agent answers", "settings of the cluster"))
    }

    /// Whether it has a member of etcd that had to join one.
    async fn joins_etcd(&mut self) -> Result<bool, Failure> {
        let node = self.node().await?;
        Ok(node.roles.contains(&Role::Etcd) && !node.roles.contains(&Role::Bootstrap))
    }

    /// The etcd of the other nodes, and where they reach the member of this one.
    async fn other_members(&mut self) -> Result<(Etcd, String), Failure> {
        let settings = self.settings().await?;
        let own = settings.etcd.get(&self.name).copied();
        let own = own.ok_or_else(|| vec![format!("`{}` is not known as a member of etcd", self.name)])?;
        let others = settings.etcd.into_iter().filter(|(node, _)| *node != self.name);
        let etcd = Etcd::new(others.map(|(_, address)| address).collect()).map_err(|error| told(&error))?;
        Ok((etcd, peer_url(own)))
    }

    /// The member is registered before its static pod is written: an etcd that starts earlier does not find
    /// itself in the list of members, and ends.
    async fn register(&mut self) -> Result<Done, Failure> {
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
        let agent = self.own_agent().await?;
        let agent = agent.ok_or_else(|| vec![format!("`{}` has left the fleet", self.name)])?;
        if agent.spec.initial_cluster.is_none() || !changes.is_empty() {
            let members = initial_cluster(&members, &self.name, &own);
            let wish = NodeWish { initial_cluster: Some(members), ..agent.spec.wish() };
            changes.extend(self.join_fleet(&wish).await?);
        }
        let count = members.len();
        Ok(Done { comment: format!("etcd has {count} members"), changes })
    }

    async fn etcd(&mut self) -> Result<Done, Failure> {
        if !self.joins_etcd().await? {
            return Ok(Done::nothing("it has none"));
        }
        self.apply_states("state.apply", &["metalk8s.kubernetes.etcd"]).await
    }

    /// A learner serves nobody: the API server beside it waits for this.
    async fn vote(&mut self) -> Result<Done, Failure> {
        if !self.joins_etcd().await? {
            return Ok(Done::nothing("it has none"));
        }
        let (etcd, own) = self.other_members().await?;
        let end = Instant::now() + LEARN;
        loop {
            let members = etcd.members().await.map_err(|error| told(&error))?;
            let member = members.iter().find(|member| member.peer_urls.contains(&own));
            let member = member.ok_or_else(|| vec![format!("etcd has no member at {own} any more")])?;
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

    async fn apply(&mut self) -> Result<Done, Failure> {
        self.apply_states("state.highstate", &[]).await
    }

    async fn apply_states(&self, function: &str, names: &[&str]) -> Result<Done, Failure> {
        let words = names.iter().map(|name| (*name).to_owned());
        let words = words.chain([format!("saltenv={}", environment(&self.version))]);
        let call = Call::new(function, words, APPLY);
        let (retcode, returned) = job(&self.fleet, &self.name, &call).await.map_err(|error| told(&error))?;
        let (changes, failures, states) = summary(&returned);
        if retcode != 0 || !failures.is_empty() {
            return Err(failures);
        }
        Ok(Done { comment: format!("{} of {states} states changed", changes.len()), changes })
    }

    /// Every node balances over all API servers.
    async fn proxies(&mut self) -> Result<Done, Failure> {
        if !self.node().await?.roles.contains(&Role::Master) {
            return Ok(Done::nothing("it has none"));
        }
        let agents = self.fleet.agents().await.map_err(|error| vec![sentence(&error)])?;
        let others = agents.into_iter().filter_map(|agent| agent.metadata.name);
        let others: Vec<String> = others.filter(|name| *name != self.name).collect();
        let call =
            Call::new("state.apply", ["metalk8s.kubernetes.apiserver-proxy"], Duration::from_secs(120));
        let told_to =
            futures::future::join_all(others.iter().map(|node| job(&self.fleet, node, &call))).await;
        let mut changes = Vec::new();
        let mut silent = Vec::new();
        for (node, answer) in others.iter().zip(told_to) {
            match answer {
                Ok((0, returned)) if !summary(&returned).0.is_empty() => {
                    changes.push(format!("proxy of {node}"))
                }
                Ok((0, _)) => {}
                Ok((_, returned)) => return Err(summary(&returned).1),
                // It reads the settings when it is there again.
                Err(error) => silent.push(format!("{node}: {error}")),
            }
        }
        let comment = match silent.is_empty() {
            true => format!("{} nodes know it", others.len()),
            false => format!("these did not answer: {}", silent.join("; ")),
        };
        Ok(Done { comment, changes })
    }

    async fn ready(&mut self) -> Result<Done, Failure> {
        let began = Instant::now();
        loop {
            let node = self.fleet.node(&self.name).await;
            match node {
                Ok(Some(node)) if node.is_ready => {
                    return Ok(Done::nothing(format!("kubelet {}", node.kubelet_version)));
                }
                _ if began.elapsed() > READY => {
                    return Err(vec![format!(
                        "Node `{}` was not Ready within {} s; `kubectl describe node {}` tells why",
                        self.name,
                        READY.as_secs(),
                        self.name
                    )]);
                }
                _ => sleep(Duration::from_millis(250)).await,
            }
        }
    }

    async fn uncordon(&mut self) -> Result<Done, Failure> {
        let changed = self.fleet.cordon(&self.name, false).await.map_err(|error| vec![sentence(&error)])?;
        Ok(if changed { Done::change("pods may come", "uncordoned") } else { Done::nothing("pods may come") })
    }
}

fn ping() -> Call {
    Call { begin_within: PING, ..Call::new("test.ping", [""; 0], PING) }
}

/// An error with its causes, a line each.
fn told(error: &dyn std::error::Error) -> Failure {
    let mut lines = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        lines.push(cause.to_string());
        next = cause.source();
    }
    lines
}

/// All that is wrong with a Node object. Pure.
fn mistakes(node: &NodeFacts, version: &str, settings: &ClusterPillar) -> Failure {
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

/// Errors and warnings of an examination, a line each.
fn findings(found: &Value) -> (Vec<String>, Vec<String>) {
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    for finding in found.as_array().into_iter().flatten() {
        let text = |key: &str| finding[key].as_str().unwrap_or_default();
        let line = format!("{} ({})", text("message"), text("code"));
        match text("severity") {
            "error" => errors.push(format!("{line}; {}", text("hint"))),
            _ => warnings.push(line),
        }
    }
    (errors, warnings)
}

/// What changed and what failed of the return of a state function, and how many states there were.
fn summary(returned: &Value) -> (Vec<String>, Vec<String>, usize) {
    let states: Vec<&Value> = returned.as_object().into_iter().flat_map(|map| map.values()).collect();
    let line = |state: &&Value| {
        let text = |key: &str| state[key].as_str().unwrap_or_default();
        format!("{}: {}", text("__id__"), text("comment").lines().next().unwrap_or_default())
    };
    let changed = |state: &&&Value| {
        state["result"] != Value::Bool(false)
            && state["changes"].as_object().is_some_and(|map| !map.is_empty())
    };
    let changes = states.iter().filter(changed).map(line).collect();
    let failures = states.iter().filter(|state| state["result"] == Value::Bool(false)).map(line).collect();
    (changes, failures, states.len())
}

/// What all masters have in common: what one has signed or encrypted, all must be able to read.
fn shared_files() -> Result<BTreeMap<PathBuf, SharedFile>, Failure> {
    let files = [
        (format!("{}/sa.key", paths::KUBERNETES_PKI), 0o600),
        (format!("{}/sa.pub", paths::KUBERNETES_PKI), 0o644),
        ("/etc/metalk8s/crypt/apiserver.key".to_owned(), 0o600),
    ];
    files
        .into_iter()
        .map(|(path, mode)| {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| vec![format!("could not read `{path}`: {error}")])?;
            Ok((PathBuf::from(path), SharedFile { text, mode }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_and_changed_states_are_told_apart() {
        let returned = serde_json::json!({
            "a": {"__id__": "a", "result": true, "comment": "done", "changes": {"x": 1}},
            "b": {"__id__": "b", "result": false, "comment": "no\nbecause", "changes": {}},
            "c": {"__id__": "c", "result": true, "comment": "", "changes": {}},
        });
        assert_eq!(summary(&returned), (vec!["a: done".to_owned()], vec!["b: no".to_owned()], 3));
    }
}
