//! `metalk8s apiserver-proxy`.

use metalk8s_diagnostics::{DiagnoseExt, Exit, logging};
use metalk8s_gateway::{Backends, BalancerConfig, serve_balancer};

use super::shutdown;
use crate::args;

/// Balances until it is told to stop.
pub(crate) async fn run(args: args::ApiserverProxy) -> anyhow::Result<Exit> {
    logging::daemon()?;
    let config = BalancerConfig {
        listen: args.listen,
        health: args.health,
        local: args.local,
        ..BalancerConfig::new(Backends::File(args.backends_file))
    };
    serve_balancer(config, shutdown()).await.diagnose()?;
    Ok(Exit::Done)
}
