//! `metalk8s salt-api`.

use metalk8s_diagnostics::{DiagnoseExt, Exit, logging};
use metalk8s_saltapi::{Limits, SaltApiConfig, TlsFiles, serve};

use super::shutdown;
use crate::args;

/// Serves until it is told to stop.
pub(crate) async fn run(args: args::SaltApi) -> anyhow::Result<Exit> {
    logging::daemon()?;
    let config = SaltApiConfig {
        listen: args.listen,
        tls: TlsFiles { certificate: args.tls_certificate, key: args.tls_key },
        kubeconfig: args.kubeconfig,
        limits: Limits::default(),
    };
    serve(config, shutdown()).await.diagnose()?;
    Ok(Exit::Done)
}
