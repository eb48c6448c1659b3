use std::net::SocketAddr;
use std::sync::Arc;

use metalk8s_listen::{Listening, ServeError, Tls, TlsFiles};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Shared, converse};
use super::transport::Transport;
use super::{Handler, Limits, Traffic};

/// A server that listens, but does not answer yet.
pub(crate) struct Server {
    listening: Listening,
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
        let listening = Listening::at(address).await?;
        Ok(Self { listening, tls, limits, traffic: Arc::default() })
    }

    /// The address, with the port the kernel chose where 0 was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listening.address()
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
                let stream = self.listening.accept().await;
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
        drop(self.listening);
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
    let handshake = async { tls.acceptor().accept(stream).await };
    match tokio::time::timeout(limits.head_time, handshake).await {
        Ok(Ok(stream)) => Some(Transport::Tls(Box::new(stream))),
        Ok(Err(err)) => {
            tracing::debug!(error = &err as &dyn std::error::Error, "a TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}
