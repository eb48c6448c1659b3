use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use metalk8s_gateway::{Limits, Repositories, RepositoriesConfig, TlsFiles};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running server, on a port of its own.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn start(root: &Path) -> Self {
        Self::start_with(root, Limits::default(), None).await
    }

    pub(crate) async fn start_with(root: &Path, limits: Limits, tls: Option<TlsFiles>) -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = RepositoriesConfig { root: root.to_owned(), listen, tls, limits };
        let repositories = Repositories::bind(config).await.unwrap();
        let address = repositories.address();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(repositories.serve(async {
            stopped.await.ok();
        }));
        Self { address, stop, task }
    }

    /// Tells it to stop; the task ends once it has.
    pub(crate) fn stop(self) -> JoinHandle<()> {
        self.stop.send(()).unwrap();
        self.task
    }
}
