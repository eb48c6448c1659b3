//! The way to a machine whose agent does not answer yet: over SSH, until its agent has a certificate.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use jiff::Timestamp;
use metalk8s_diagnostics::{code_of_io, explain, sentence};
use metalk8s_engine::journal::RunId;
use metalk8s_formulas::authorities;
use metalk8s_kube::fleet::NodeFacts;
use metalk8s_ssh::{Command, Session};
use metalk8s_types::{Role, paths, pillar::NodeWish};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    super::{
        failure::{Failure, told},
        runs::Done,
    },
    DeployNode, Machine,
};
use crate::{
    join::{Accepted, Examined, Invitation, Prepared, SharedFile},
    ssh::{self, SshError},
};

/// How long a call that changes the machine may take, which first waits for a former one.
const CALL: Duration = Duration::from_secs(600);
/// How long a machine may be away on which a call was cut off, and the time between two attempts.
const RETURN: Duration = Duration::from_secs(180);
const AGAIN: Duration = Duration::from_secs(2);
/// How long the end of an earlier removal may take.
const RESET: Duration = Duration::from_secs(120);

impl DeployNode {
    pub(super) async fn connect(&mut self) -> Result<Done, Failure> {
        if self.is_joined().await? {
            return Ok(Done::nothing("its agent answers"));
        }
        let node = self.node().await?;
        let machine = self.enter(&node).await.map_err(|error| told(&error))?;
        Ok(Done::nothing(format!("logged in as {}", machine.session.endpoint())))
    }

    async fn enter(&mut self, node: &NodeFacts) -> Result<&mut Machine, SshError> {
        if self.machine.is_none() {
            let session = ssh::connect(&self.hands.fleet, node).await?;
            self.wait_for_reset(node, &session).await?;
            self.machine = Some(Machine { session, program: None });
        }
        Ok(self.machine.as_mut().expect("it was made above"))
    }

    async fn wait_for_reset(&self, node: &NodeFacts, session: &Session) -> Result<(), SshError> {
        let end = Instant::now() + RESET;
        let mut is_told = false;
        while ssh::is_being_reset(session).await? {
            if Instant::now() > end {
                return Err(SshError::BeingReset { node: node.name.clone() });
            }
            if !is_told {
                self.hands.tell("waiting until the machine has ended its removal from the cluster").await;
                is_told = true;
            }
            sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    /// Calls the program of the version on the machine. A call that is cut off there is begun again, once the machine
    /// can be reached: each goes on where the former one was.
    async fn call<T: DeserializeOwned>(
        &mut self,
        verb: &str,
        input: &impl Serialize,
        patience: Duration,
    ) -> Result<T, Failure> {
        let input = serde_json::to_vec(input)
            .map_err(|error| Failure::new(explain::UNEXPECTED, error.to_string()))?;
        let mut given_up = None;
        loop {
            let node = self.node().await?;
            let error = match self.call_once(&node, verb, input.clone(), patience).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if given_up.is_none() && error.is_interruption() {
                given_up = Some(Instant::now() + RETURN);
            }
            if !error.is_passing() || given_up.is_none_or(|end| Instant::now() > end) {
                return Err(told(&error));
            }
            self.machine = None;
            self.hands.tell(&format!("{}, trying again", sentence(&error))).await;
            sleep(AGAIN).await;
            // A person may have repaired it meanwhile.
            if let Ok(Some(node)) = self.hands.fleet.node(&self.name).await {
                self.node = Some(node);
            }
        }
    }

    /// Brings the program of the version to the machine, and calls it there with `input`.
    async fn call_once<T: DeserializeOwned>(
        &mut self,
        node: &NodeFacts,
        verb: &str,
        input: Vec<u8>,
        patience: Duration,
    ) -> Result<T, SshError> {
        let (version, archives) = (self.version.clone(), self.hands.config.archives.clone());
        let Machine { session, program } = self.enter(node).await?;
        let program = match program {
            Some(program) => program,
            None => program.insert(ssh::bring_program(session, &archives, &version).await?),
        };
        let command = Command::new(program.as_str(), patience).args(["join", verb]).stdin(input);
        ssh::answer_of(session, &node.name, &command, &format!("metalk8s join {verb}")).await
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
            settings: self.hands.settings().await?,
            now: Timestamp::now(),
            shared,
        })
    }

    pub(super) async fn examine(&mut self) -> Result<Done, Failure> {
        if self.is_joined().await? {
            return Ok(Done::nothing("its agent answers"));
        }
        let examined = self.examined().await?;
        let (errors, warnings) = examined.told();
        if !errors.is_empty() {
            return Err(Failure::of_lines(explain::UNEXPECTED, errors));
        }
        self.addresses = examined.addresses;
        Ok(Done::nothing(match warnings.is_empty() {
            true => "nothing speaks against it".to_owned(),
            false => format!("nothing speaks against it; {}", warnings.join("; ")),
        }))
    }

    /// Keys are not sent along: nothing is done yet.
    async fn examined(&mut self) -> Result<Examined, Failure> {
        let invitation = Invitation { shared: BTreeMap::new(), ..self.invitation().await? };
        self.call("examine", &invitation, Duration::from_secs(60)).await
    }

    /// Whether it is a node already and shall become a master, which needs the keys that masters share.
    pub(super) async fn becomes_master(&mut self) -> Result<bool, Failure> {
        let node = self.node().await?;
        let agent = self.hands.agent(&self.name).await?;
        let was = agent.is_some_and(|agent| agent.spec.roles.contains(&Role::Master));
        Ok(node.roles.contains(&Role::Master) && !was)
    }

    pub(super) async fn prepare(&mut self) -> Result<Done, Failure> {
        if self.is_joined().await? && !self.becomes_master().await? {
            return Ok(Done::nothing("its agent answers"));
        }
        let prepared = self.prepared().await?;
        self.request_pem = Some(prepared.request_pem);
        let comment = format!("{} of {} states changed", prepared.changed, prepared.states);
        Ok(if prepared.changed == 0 {
            Done::nothing(comment)
        } else {
            Done::change(comment, "packages of a node")
        })
    }

    async fn prepared(&mut self) -> Result<Prepared, Failure> {
        let invitation = self.invitation().await?;
        self.call("prepare", &invitation, CALL).await
    }

    pub(super) async fn accept(&mut self) -> Result<Done, Failure> {
        let node = self.node().await?;
        if self.is_joined().await? {
            let agent = self.hands.agent(&self.name).await?;
            let agent = agent.ok_or_else(|| self.has_left())?;
            let addresses = self.addresses_now(&agent).await?;
            let wish =
                NodeWish { version: self.version.clone(), roles: node.roles, addresses, ..agent.spec.wish() };
            let changes = self.hands.shall_be(&self.name, &wish).await?;
            return Ok(Done { comment: "its key was accepted before".into(), changes });
        }
        if self.addresses.is_none() {
            self.addresses = self.examined().await?.addresses;
        }
        let addresses = self.addresses.ok_or_else(|| self.has_no_address())?;
        let wish =
            NodeWish { version: self.version.clone(), roles: node.roles, addresses, initial_cluster: None };
        let mut changes = self.hands.shall_be(&self.name, &wish).await?;
        let request_pem = match self.request_pem.take() {
            Some(request_pem) => request_pem,
            None => self.prepared().await?.request_pem,
        };
        let settings = self.hands.settings().await?;
        let kubernetes = &authorities()[0];
        let certificate_pem = self.signed(&kubernetes.signer, &request_pem).await?;
        let server = settings.masters.values().next().copied();
        let server = server.ok_or_else(|| Failure::new(explain::SETTINGS_MISSING, "no master is known"))?;
        let accepted = Accepted {
            node: self.name.clone(),
            server: format!("https://{}", std::net::SocketAddr::new(server, 6443)),
            ca_pem: settings.authorities.get(kubernetes.common_name).cloned().unwrap_or_default(),
            certificate_pem,
        };
        let _: Value = self.call("finish", &accepted, CALL).await?;
        changes.push(format!("key of `{}` accepted", self.name));
        Ok(Done { comment: "its key is accepted".into(), changes })
    }

    /// The certificate for the agent's first request, through the API like all others.
    async fn signed(&self, signer: &str, request_pem: &str) -> Result<String, Failure> {
        let name = format!("metalk8s-{}-{}", self.name, RunId::at(Timestamp::now()));
        let asked = self.hands.fleet.request_certificate(
            &name,
            signer,
            request_pem,
            &["digital signature", "client auth"],
        );
        asked.await.map_err(|error| told(&error))?;
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            let agent = self.hands.agent(&self.name).await?;
            if let Some(certificate) = agent.and_then(|mut agent| agent.spec.certificates.remove(&name)) {
                return Ok(certificate);
            }
            sleep(Duration::from_millis(100)).await;
        }
        let line = format!("the request `{name}` was not signed; `kubectl describe csr {name}` tells why");
        Err(Failure::new(explain::WAIT_TIMED_OUT, line))
    }

    pub(super) fn has_left(&self) -> Failure {
        Failure::new(explain::NODE_UNKNOWN, format!("`{}` has left the fleet", self.name))
    }

    pub(super) fn has_no_address(&self) -> Failure {
        Failure::new(explain::NO_ADDRESS, format!("`{}` has no single address in each plane", self.name))
    }
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
            let text = std::fs::read_to_string(&path).map_err(|error| {
                Failure::new(code_of_io(&error), format!("could not read `{path}`: {error}"))
            })?;
            Ok((PathBuf::from(path), SharedFile { text, mode }))
        })
        .collect()
}
