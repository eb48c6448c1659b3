//! `metalk8s conductor`.

use metalk8s_diagnostics::{Exit, logging};
use metalk8s_orchestrator::conductor::{ConductorConfig, serve};

use super::shutdown;
use crate::args;

/// Conducts until it is told to stop.
pub(crate) async fn run(args: args::Conductor) -> anyhow::Result<Exit> {
    logging::daemon()?;
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let config = ConductorConfig {
        kubeconfig: args.kubeconfig,
        configuration: args.config,
        archives: args.archives,
        // A process that took over after a crash must not be taken for the one before.
        identity: format!("{hostname}_{}_{}", std::process::id(), jiff::Timestamp::now().as_second()),
    };
    serve(config, shutdown()).await;
    Ok(Exit::Done)
}
