//! What happens on a machine that joins a cluster, before its agent can take over (EXP-17).
//!
//! The conductor sends this program to the machine and calls it three times over SSH: [`examine`] looks,
//! [`prepare`] installs the agent and makes its key, [`finish`] starts it with its certificate. Each may be
//! called again at any moment. Input and output are JSON, on stdin and stdout; no private key is in them but
//! those that all masters share.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use metalk8s_diagnostics::{
    Code, Diagnose, Hint, Progress, ProgressMode, code_of, code_of_io, explain, shortened,
};
use metalk8s_engine::{Hands, State, StateError, state::Service};
use metalk8s_formulas::{
    AGENT_UNIT, FormulaError, Stage, agent_running, certificates, packages_of_node, system,
};
use metalk8s_host::Host;
use metalk8s_pki::{IssueError, Request, RequestedCertificate, Usage, certificate_request, kubeconfig};
use metalk8s_types::{
    BootstrapConfiguration, Grains, Pillar, Role, VERSION,
    bootstrap_config::Version,
    fleet::agent_user,
    paths,
    pillar::{ClusterPillar, NodeAddresses, NodeWish, UnknownVersion},
};
use serde::{Deserialize, Serialize};

use crate::{
    PillarError, file,
    pillar::address,
    precheck::{Finding, Observed, precheck},
    run_journal::{OpenJournalError, RunJournal, was_begun},
    stages::{self, RunError},
};

/// The name of its runs in journals.
pub const RUN: &str = "join";

/// The agent's key, from the moment it is made until its certificate is there.
const NEW_KEY: &str = "/etc/metalk8s/pki/agent.key";
/// The request that belongs to it.
const NEW_REQUEST: &str = "/etc/metalk8s/pki/agent.csr";
/// How far clocks may be apart: certificates are valid from 5 minutes before they are made.
const CLOCKS: SignedDuration = SignedDuration::from_mins(2);
/// How many findings of a machine are told, and how long each of their texts may be, in characters.
const FINDINGS: usize = 100;
const TEXT: usize = 400;

/// What the machine is told.
#[derive(Clone, Serialize, Deserialize)]
pub struct Invitation {
    /// The name of its Node.
    pub node: String,
    /// The version that it shall have.
    pub version: String,
    /// The roles that it shall have.
    pub roles: BTreeSet<Role>,
    /// The settings that all nodes share.
    pub settings: ClusterPillar,
    /// The time of whoever invites.
    pub now: Timestamp,
    /// Files that all masters have in common, by their path.
    pub shared: BTreeMap<PathBuf, SharedFile>,
}

/// A file that is the same on all masters.
#[derive(Clone, Serialize, Deserialize)]
pub struct SharedFile {
    /// Its text.
    pub text: String,
    /// Its permission bits.
    pub mode: u32,
}

/// What was found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Examined {
    /// What speaks against it, each with its code, severity, message and hint.
    pub findings: serde_json::Value,
    /// Its addresses, where it has exactly one in each plane.
    pub addresses: Option<NodeAddresses>,
    /// Its host name.
    pub hostname: String,
}

impl Examined {
    /// Errors and warnings, a line each. They were written by the machine, which may be anybody's.
    pub fn told(&self) -> (Vec<String>, Vec<String>) {
        let (mut errors, mut warnings) = (Vec::new(), Vec::new());
        for finding in self.findings.as_array().into_iter().flatten().take(FINDINGS) {
            let text = |key: &str| shortened(finding[key].as_str().unwrap_or_default(), TEXT);
            let line = format!("{} ({})", text("message"), text("code"));
            match finding["severity"].as_str() {
                Some("error") => errors.push(format!("{line}; {}", text("hint"))),
                _ => warnings.push(line),
            }
        }
        (errors, warnings)
    }
}

/// What was done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Prepared {
    /// How many states there were.
    pub states: usize,
    /// How many of them were changed.
    pub changed: usize,
    /// The request for the agent's certificate, PEM.
    pub request_pem: String,
}

/// The agent's certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Accepted {
    /// The name of the node.
    pub node: String,
    /// Where the API is reached, such as `https://10.0.0.1:6443`.
    pub server: String,
    /// The authority of Kubernetes, PEM.
    pub ca_pem: String,
    /// The certificate, PEM.
    pub certificate_pem: String,
}

/// Why a machine cannot join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// No archive of its version.
    #[error(transparent)]
    Version(#[from] UnknownVersion),
    /// Its addresses.
    #[error(transparent)]
    Addresses(#[from] PillarError),
    /// The archive lacks something.
    #[error(transparent)]
    Formula(#[from] FormulaError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] OpenJournalError),
    /// A state failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The key.
    #[error("could not make the agent's key")]
    Key(#[from] IssueError),
    /// The agent.
    #[error("could not restart the agent")]
    Restart(#[source] StateError),
    /// A file.
    #[error("could not use `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Diagnose for JoinError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Version(_) => Some(explain::ARCHIVE_MISSING),
            Self::Addresses(error) => error.code(),
            Self::Formula(_) => Some(explain::ARCHIVE_INCOMPLETE),
            Self::Journal(error) => error.code(),
            Self::Run(error) => error.code(),
            Self::Key(error) => Some(code_of(error)),
            Self::Restart(_) => Some(explain::STATE_FAILED),
            Self::File { source, .. } => Some(code_of_io(source)),
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Journal(error) => error.hints(),
            Self::Run(error) => error.hints(),
            _ => Vec::new(),
        }
    }
}

/// Looks whether the machine can be what it shall be. Changes nothing.
pub async fn examine(invitation: &Invitation, grains: &Grains) -> Examined {
    let configuration = as_configuration(invitation);
    let begun = was_begun(Path::new(paths::RUNS), RUN);
    let observed = Observed::collect(&configuration, VERSION, invitation.roles.clone(), begun).await;
    let mut findings = precheck(grains, &configuration, &observed);
    let apart = observed.now.duration_since(invitation.now).abs();
    if apart > CLOCKS {
        findings.push(Finding::error(
            explain::CLOCK_WRONG,
            format!(
                "the clock of this machine is {} s away from that of the Bootstrap node, and at most {} s are allowed",
                apart.as_secs(),
                CLOCKS.as_secs()
            ),
        ));
    }
    Examined {
        findings: serde_json::to_value(&findings).unwrap_or_default(),
        addresses: addresses(invitation, grains).ok(),
        hostname: grains.hostname.clone(),
    }
}

/// Prepares the system, installs the packages, and makes the agent's key.
///
/// # Errors
/// When a state fails; the same call goes on from there.
pub async fn prepare(invitation: &Invitation, grains: &Grains) -> Result<Prepared, JoinError> {
    let pillar = invitation.settings.of_node(&wish(invitation, grains)?, &grains.package_repository())?;
    let stages = [
        Stage { title: "Preparing the system", name: "system", graph: system(grains, &pillar) },
        Stage { title: "Installing packages", name: "packages", graph: packages_of_node(grains, &pillar)? },
    ];
    let summary = run(&stages, &Host::new()).await?;
    for (path, file) in &invitation.shared {
        write(path, file.text.as_bytes(), file.mode)?;
    }
    let request_pem = request(&invitation.node, &pillar)?;
    Ok(Prepared { states: summary.states, changed: summary.changed, request_pem })
}

/// The request for the certificate of the node's agent; one that was made before is good unless it is of another
/// name that the machine had.
fn request(node: &str, pillar: &Pillar) -> Result<String, JoinError> {
    let user = agent_user(node);
    if let (Some(_), Some(request)) = (read(NEW_KEY)?, read(NEW_REQUEST)?)
        && RequestedCertificate::parse(&request).is_ok_and(|requested| requested.common_name() == user)
    {
        return Ok(request);
    }
    let wanted = certificates(node, pillar).into_iter().find(|wanted| wanted.subject.common_name == user);
    let made = certificate_request(&Request {
        organizations: wanted.map(|wanted| wanted.subject.organizations).unwrap_or_default(),
        common_name: user,
        usages: vec![Usage::Client],
        ..Request::default()
    })?;
    write(Path::new(NEW_KEY), made.key_pem.as_bytes(), 0o600)?;
    write(Path::new(NEW_REQUEST), made.request_pem.as_bytes(), 0o644)?;
    Ok(made.request_pem)
}

/// Starts the agent with its certificate.
///
/// # Errors
/// When the key is gone, or the agent does not start.
pub async fn finish(accepted: &Accepted) -> Result<(), JoinError> {
    let missing = || JoinError::File { path: NEW_KEY.into(), source: io::ErrorKind::NotFound.into() };
    let stages = [Stage { title: "Starting the agent", name: "agent", graph: agent_running() }];
    if let Some(key_pem) = read(NEW_KEY)? {
        let user = agent_user(&accepted.node);
        let Accepted { server, ca_pem, certificate_pem, node: _ } = accepted;
        let text = kubeconfig(server, "kubernetes", &user, ca_pem, certificate_pem, &key_pem);
        write(Path::new(paths::AGENT_KUBECONFIG), text.as_bytes(), 0o600)?;
        run(&stages, &Host::new()).await?;
        // One that ran before is the agent of another name.
        let agent = State::Service(Service::running(AGENT_UNIT));
        Host::new().react(&agent).await.map_err(JoinError::Restart)?;
        for path in [NEW_REQUEST, NEW_KEY] {
            fs::remove_file(path).map_err(|source| JoinError::File { path: path.into(), source })?;
        }
    } else if !Path::new(paths::AGENT_KUBECONFIG).exists() {
        return Err(missing());
    }
    run(&stages, &Host::new()).await.map(drop)
}

async fn run(stages: &[Stage], hands: &dyn Hands) -> Result<stages::Summary, JoinError> {
    let silent = Progress::to(ProgressMode::Quiet, io::sink());
    let names: Vec<_> = stages.iter().map(|stage| stage.name).collect();
    let mut journal = RunJournal::open(Path::new(paths::RUNS), RUN, &names)?;
    Ok(stages::run(stages, hands, &silent, &mut journal).await?)
}

fn wish(invitation: &Invitation, grains: &Grains) -> Result<NodeWish, JoinError> {
    Ok(NodeWish {
        version: invitation.version.clone(),
        roles: invitation.roles.clone(),
        addresses: addresses(invitation, grains)?,
        initial_cluster: None,
    })
}

fn addresses(invitation: &Invitation, grains: &Grains) -> Result<NodeAddresses, PillarError> {
    let networks = &invitation.settings.networks;
    Ok(NodeAddresses {
        control_plane: address(grains, "networks.controlPlane", &networks.control_plane)?,
        workload_plane: address(grains, "networks.workloadPlane", &networks.workload_plane)?,
    })
}

/// The settings in the shape that the pre-checks know. The machine must be called as its Node is.
fn as_configuration(invitation: &Invitation) -> BootstrapConfiguration {
    BootstrapConfiguration {
        version: Version::V1Alpha3,
        networks: invitation.settings.networks.clone(),
        ingress_ip: None,
        proxies: invitation.settings.proxies.clone(),
        certificates: invitation.settings.certificates,
        ca_minion: invitation.node.clone(),
        archives: Vec::new(),
        api_server_names: Vec::new(),
        feature_gates: BTreeMap::new(),
        addons: invitation.settings.addons,
    }
}

fn read(path: &str) -> Result<Option<String>, JoinError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(JoinError::File { path: path.into(), source }),
    }
}

pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), JoinError> {
    file::write(path, bytes, mode).map_err(|source| JoinError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(findings: serde_json::Value) -> (Vec<String>, Vec<String>) {
        Examined { findings, addresses: None, hostname: "node-1".to_owned() }.told()
    }

    #[test]
    fn errors_come_with_their_hints_and_warnings_apart() {
        let findings = json!([
            { "code": "MK1201", "severity": "error", "message": "port 1 is in use", "hint": "stop it" },
            { "code": "MK1202", "severity": "warning", "message": "2 processors", "hint": "add some" },
        ]);
        let lines = |line: &str| vec![line.to_owned()];
        assert_eq!(
            told(findings),
            (lines("port 1 is in use (MK1201); stop it"), lines("2 processors (MK1202)"))
        );
    }

    #[test]
    fn a_machine_that_writes_what_it_likes_is_told_in_short_lines() {
        let (errors, warnings) = told(json!([
            { "severity": "error", "message": "\u{1b}[2J\nall is well", "code": 1 },
            { "message": "x".repeat(100_000) },
            "nothing",
        ]));
        assert_eq!(errors, ["\\u{1b}[2J\\nall is well (); "]);
        assert_eq!((warnings[0].len(), warnings[1].as_str()), (TEXT + " ... ()".len(), " ()"));
        let many = json!(vec![json!({ "severity": "error" }); FINDINGS + 1]);
        assert_eq!(told(many).0.len(), FINDINGS);
    }
}
