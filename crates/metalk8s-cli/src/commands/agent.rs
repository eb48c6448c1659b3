//! `metalk8s agent`.

use std::{ffi::OsString, time::Duration};

use anyhow::Context;
use metalk8s_agent::{AgentConfig, Looks, serve};
use metalk8s_diagnostics::{DiagnoseExt, Exit, logging};
use metalk8s_host::Host;
use metalk8s_orchestrator::plans;
use metalk8s_saltcompat::{applies_states, grains_tree};
use metalk8s_types::paths;

use super::shutdown;
use crate::args;

/// Serves until it is told to stop.
pub(crate) async fn run(args: args::Agent) -> anyhow::Result<Exit> {
    logging::daemon()?;
    let grains = Host::new().collect_grains().context("could not look at this machine")?;
    let node = args.node.unwrap_or_else(|| grains.hostname.clone());
    let program = std::env::current_exe().context("could not find out which program this is")?;
    let kubeconfig = ["--kubeconfig".into(), args.kubeconfig.clone().into_os_string()];
    let words = |verb: &str| [[program.clone().into(), verb.into()], kubeconfig.clone()].concat();
    let mut command: Vec<OsString> = words("job");
    command.extend(["--jobs".into(), args.jobs.clone().into_os_string()]);
    command.extend(["--node".into(), OsString::from(&node)]);
    let looks = Looks {
        command: [words("look"), vec!["--node".into()]].concat(),
        every: Duration::from_secs(args.drift_interval.into()),
        after: |function| applies_states(function) || function == plans::CARRY_OUT,
        seen: paths::AGENT_DRIFT.into(),
    };
    let config = AgentConfig {
        node,
        kubeconfig: args.kubeconfig,
        spool: args.jobs,
        command,
        grains: grains_tree(&grains, None),
        lives: metalk8s_orchestrator::certificates::lives,
        looks,
    };
    serve(config, shutdown()).await.diagnose()?;
    Ok(Exit::Done)
}
