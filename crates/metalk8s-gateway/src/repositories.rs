//! Packages and images, straight out of the mounted archives (PKG-01 to PKG-08, PKG-15).
//!
//! | path | served from |
//! | --- | --- |
//! | `/<environment>/<path>` | `<root>/<environment>/packages/<path>` |
//! | `/<environment>/bin/<path>` | `<root>/<environment>/bin/<path>` |
//! | `/v2/<environment>/<image>/...` | `<root>/<environment>/images/`, an OCI image layout |
//! | `/` | the list of archives, JSON |
//! | `/healthz`, `/metrics` | this program |
//!
//! An environment is a folder of the root, by custom `<name>-<version>`, that has a `product.txt` or a
//! `manifest.json`. Archives may be mounted and unmounted while this runs: nothing in them is kept open between
//! requests, so that an unmount is never refused because of us (an answer that is being sent does keep its file).

mod archives;
mod content;
mod digest;
mod layout;
mod open;
mod packages;
mod registry;
mod routes;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use metalk8s_listen::{ServeError, TlsFiles};
use tokio_util::sync::CancellationToken;

pub use digest::{BadDigest, Digest};
pub use layout::{IndexEntry, ReadIndexError, read_index};

use self::archives::Archives;
use self::routes::Routes;
use crate::http::{Limits, Server};

/// Files and sockets that are open whatever the number of clients.
const SPARE_DESCRIPTORS: u64 = 128;

/// What `metalk8s repositories` is told.
#[derive(Debug, Clone)]
pub struct RepositoriesConfig {
    /// The folder whose sub-folders are archives, by custom `/srv/scality`.
    pub root: PathBuf,
    /// Where to listen; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// Certificate and key; without them, plain HTTP.
    pub tls: Option<TlsFiles>,
    /// What clients may use.
    pub limits: Limits,
}

/// The server, which listens already and answers once [`Repositories::serve`] runs.
pub struct Repositories {
    server: Server,
    archives: Arc<Archives>,
}

impl Repositories {
    /// Takes the address and reads the certificate. An empty or absent root is no error: archives may come later.
    pub async fn bind(config: RepositoriesConfig) -> Result<Self, ServeError> {
        // A socket and a file for each.
        crate::descriptors::allow(2 * config.limits.connections as u64 + SPARE_DESCRIPTORS);
        let server = Server::bind(config.listen, config.tls, config.limits).await?;
        Ok(Self { server, archives: Arc::new(Archives::new(config.root)) })
    }

    /// Where it listens, with the port that the kernel chose.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Answers until `shutdown`, then lets running answers end, for at most [`Limits::drain_time`].
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let stop = CancellationToken::new();
        let _stop_at_end = stop.clone().drop_guard();
        tokio::spawn({
            let (archives, stop) = (Arc::clone(&self.archives), stop.clone());
            async move { stop.run_until_cancelled(archives.keep_looking()).await }
        });
        tracing::info!(address = %self.server.address(), "serving packages and images");
        let routes = Routes { archives: self.archives, traffic: self.server.traffic() };
        let serving = self.server.serve(routes, stop.clone());
        let stopping = async {
            shutdown.await;
            stop.cancel();
        };
        tokio::join!(serving, stopping);
    }
}

/// Serves the archives below `config.root` until `shutdown`.
pub async fn serve_repositories(
    config: RepositoriesConfig,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    Repositories::bind(config).await?.serve(shutdown).await;
    Ok(())
}
