//! `metalk8s repositories`.

use metalk8s_diagnostics::{DiagnoseExt, Exit, logging};
use metalk8s_gateway::{Limits, RepositoriesConfig, TlsFiles, serve_repositories};

use super::shutdown;
use crate::args;

/// Serves until it is told to stop.
pub(crate) async fn run(args: args::Repositories) -> anyhow::Result<Exit> {
    logging::daemon()?;
    let tls = args.tls_certificate.zip(args.tls_key).map(|(certificate, key)| TlsFiles { certificate, key });
    let config = RepositoriesConfig { root: args.root, listen: args.listen, tls, limits: Limits::default() };
    serve_repositories(config, shutdown()).await.diagnose()?;
    Ok(Exit::Done)
}
