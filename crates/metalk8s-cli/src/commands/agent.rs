//! `metalk8s agent`.

use std::ffi::OsString;

use anyhow::Context;
use metalk8s_agent::{AgentConfig, serve};
use metalk8s_diagnostics::{Exit, logging};
use metalk8s_host::Host;
use metalk8s_saltcompat::grains_tree;

use super::shutdown;
use crate::args;

/// Serves until it is told to stop.
pub(crate) async fn run(args: args::Agent) -> anyhow::Result<Exit> {
    logging::daemon()?;
    let grains = Host::new().collect_grains().context("could not look at this machine")?;
    let node = args.node.unwrap_or_else(|| grains.hostname.clone());
    let program = std::env::current_exe().context("could not find out which program this is")?;
    let mut command: Vec<OsString> = vec![program.into(), "job".into()];
    let options = [("--kubeconfig", args.kubeconfig.as_os_str()), ("--jobs", args.jobs.as_os_str())];
    for (option, value) in options {
        command.extend([option.into(), value.to_owned()]);
    }
    command.extend(["--node".into(), OsString::from(&node)]);
    let config = AgentConfig {
        node,
        kubeconfig: args.kubeconfig,
        spool: args.jobs,
        command,
        grains: grains_tree(&grains, None),
        lives: metalk8s_orchestrator::certificates::lives,
    };
    serve(config, shutdown()).await?;
    Ok(Exit::Done)
}
