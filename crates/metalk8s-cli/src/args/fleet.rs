//! The daemons of the fleet, and what they start.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use metalk8s_types::paths;

/// Be the agent of this node: take jobs from the API and report
///
/// Runs as metalk8s-agent.service on every node. Jobs are carried out by processes of their own, which go on
/// when the agent is restarted.
#[derive(Debug, Args)]
pub struct Agent {
    /// How the API is reached
    #[arg(long, value_name = "FILE", default_value = paths::AGENT_KUBECONFIG)]
    pub kubeconfig: PathBuf,
    /// The name of the node; by default the host name
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// Where jobs are remembered
    #[arg(long, value_name = "DIRECTORY", default_value = paths::AGENT_JOBS)]
    pub jobs: PathBuf,
    /// How often the node is compared with what it shall be, at a moment that its name chooses; 0 is never
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub drift_interval: u32,
}

/// Compare this node with what it shall be
///
/// The agent calls this; what was seen is left in files, for the agent to tell and for metrics.
#[derive(Debug, Args)]
#[command(hide = true)]
pub struct Look {
    /// How the API is reached
    #[arg(long, value_name = "FILE", default_value = paths::AGENT_KUBECONFIG)]
    pub kubeconfig: PathBuf,
    /// The name of the node
    #[arg(long, value_name = "NAME")]
    pub node: String,
}

/// Carry out one job of the agent
///
/// The agent calls this; the outcome is left beside the job.
#[derive(Debug, Args)]
#[command(hide = true)]
pub struct Job {
    /// How the API is reached
    #[arg(long, value_name = "FILE", default_value = paths::AGENT_KUBECONFIG)]
    pub kubeconfig: PathBuf,
    /// The name of the node
    #[arg(long, value_name = "NAME")]
    pub node: String,
    /// Where jobs are remembered
    #[arg(long, value_name = "DIRECTORY", default_value = paths::AGENT_JOBS)]
    pub jobs: PathBuf,
    /// The name of the job
    pub name: String,
}

/// Be the conductor: carry out runs, sign certificates, hand out settings
///
/// Runs in the pod salt-master on the Bootstrap node. Of several, the one that holds the lease works.
#[derive(Debug, Args)]
pub struct Conductor {
    /// How the API is reached
    #[arg(long, value_name = "FILE", default_value = paths::CONDUCTOR_KUBECONFIG)]
    pub kubeconfig: PathBuf,
    /// The BootstrapConfiguration
    #[arg(long, value_name = "FILE", default_value = paths::BOOTSTRAP_CONFIG)]
    pub config: PathBuf,
    /// The folder in which archives are mounted
    #[arg(long, value_name = "DIRECTORY", default_value = paths::ARCHIVES)]
    pub archives: PathBuf,
}

/// Serve the HTTP API of Salt's master
///
/// Runs in the pod salt-master on the Bootstrap node. People and programs log in with tokens of the cluster.
#[derive(Debug, Args)]
pub struct SaltApi {
    /// Address and port
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// Certificate chain, PEM; read again when it changes
    #[arg(long, value_name = "FILE")]
    pub tls_certificate: PathBuf,
    /// Private key of the certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub tls_key: PathBuf,
    /// How the Kubernetes API is reached
    #[arg(long, value_name = "FILE", default_value = paths::SALT_API_KUBECONFIG)]
    pub kubeconfig: PathBuf,
}
