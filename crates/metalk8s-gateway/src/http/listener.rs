use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metalk8s_diagnostics::{Code, Diagnose, Hint, explain};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Shared, converse};
use super::tls::Tls;
use super::transport::Transport;
use super::{Handler, Limits, TlsError, TlsFiles, Traffic};

/// The wait after an accept that failed, so that a lack of file descriptors does not become a busy loop.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a server could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or not one of this machine.
    #[error("could not listen on `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error("could not set up TLS for `{address}`")]
    Tls {
        /// The address it is for.
        address: SocketAddr,
        /// Why.
        #[source]
        source: TlsError,
    },
}

impl Diagnose for ServeError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                Some(explain::PORT_IN_USE)
            }
            Self::Listen { .. } => None,
            Self::Tls { source, .. } => source.code(),
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Listen { address, source } => match source.kind() {
                io::ErrorKind::AddrInUse => {
                    vec![format!("`ss -ltnp 'sport = :{}'` shows who has the port", address.port()).into()]
                }
                io::ErrorKind::AddrNotAvailable => {
                    vec![
                        format!("`ip address` shows whether {} is an address of this machine", address.ip())
                            .into(),
                    ]
                }
                _ => Vec::new(),
            },
            Self::Tls { .. } => Vec::new(),
        }
    }
}

/// A server that listens, but does not answer yet.
pub(crate) struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
    limits: Limits,
    traffic: Arc<Traffic>,
}

impl Server {
    pub(crate) async fn bind(
        address: SocketAddr,
        tls: Option<TlsFiles>,
        limits: Limits,
    ) -> Result<Self, ServeError> {
        let tls = tls.map(Tls::load).transpose().map_err(|source| ServeError::Tls { address, source })?;
        let listen = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, address, tls, limits, traffic: Arc::default() })
    }

    /// The address, with the port the kernel chose where 0 was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    /// Answers until `stop`, then lets running answers end, for at most [`Limits::drain_time`].
    pub(crate) async fn serve<H: Handler>(self, handler: H, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let drain_time = self.limits.drain_time;
        let shared = Arc::new(Shared {
            handler,
            limits: self.limits,
            traffic: self.traffic,
            places: Arc::clone(&places),
            stop: stop.clone(),
        });
        let tls = self.tls.map(Arc::new);
        let connections = TaskTracker::new();
        let cut = CancellationToken::new();
        let accept_all = async {
            loop {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let stream = match self.listener.accept().await {
                    Ok((stream, _)) => stream,
                    Err(err) => {
                        tracing::warn!(
                            error = &err as &dyn std::error::Error,
                            "could not accept a connection"
                        );
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                };
                let (shared, tls, cut) = (Arc::clone(&shared), tls.clone(), cut.clone());
                connections.spawn(async move {
                    shared.traffic.opened();
                    let conversation = async {
                        if let Some(transport) = greet(stream, tls.as_deref(), &shared.limits).await {
                            converse(transport, &shared).await;
                        }
                    };
                    cut.run_until_cancelled(conversation).await;
                    shared.traffic.closed();
                    drop(place);
                });
            }
        };
        stop.run_until_cancelled(accept_all).await;
        drop(self.listener);
        connections.close();
        if tokio::time::timeout(drain_time, connections.wait()).await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "some answers did not end in time and are cut off"
            );
            cut.cancel();
            connections.wait().await;
        }
    }
}

async fn greet(stream: TcpStream, tls: Option<&Tls>, limits: &Limits) -> Option<Transport> {
    // Heads and the ends of files are small; they must not wait for an acknowledgement.
    stream.set_nodelay(true).ok()?;
    let Some(tls) = tls else { return Some(Transport::Plain(Arc::new(stream))) };
    let handshake = async { tls.acceptor().await.accept(stream).await };
    match tokio::time::timeout(limits.head_time, handshake).await {
        Ok(Ok(stream)) => Some(Transport::Tls(Box::new(stream))),
        Ok(Err(err)) => {
            tracing::debug!(error = &err as &dyn std::error::Error, "a TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}
