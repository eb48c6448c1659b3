//! Connections.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use metalk8s_kube::Fleet;
use metalk8s_listen::{Listening, ServeError, Tls, TlsFiles};
use tokio::{net::TcpStream, sync::Semaphore, time::timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Api, Limits, router};

/// Bytes of a head, and headers in it.
const HEAD: (usize, usize) = (64 * 1024, 64);

/// What the server needs to know.
#[derive(Debug, Clone)]
pub struct SaltApiConfig {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Its certificate.
    pub tls: TlsFiles,
    /// How it reaches the Kubernetes API.
    pub kubeconfig: PathBuf,
    /// What clients may use.
    pub limits: Limits,
}

/// Serves until `shutdown` ends, then lets running answers end.
///
/// # Errors
/// When it cannot listen, or has no certificate.
pub async fn serve(config: SaltApiConfig, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
    let fleet = Arc::new(Fleet::lazy(&config.kubeconfig));
    let api = Api::new(fleet.clone(), fleet, config.limits);
    let server = Server::bind(config.listen, config.tls).await?;
    tracing::info!(address = %server.address(), "the HTTP API begins");
    server.serve(api, shutdown).await;
    tracing::info!("the HTTP API ends");
    Ok(())
}

/// A server that listens, but does not answer yet.
pub struct Server {
    listening: Listening,
    tls: Tls,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// When the address or the certificate cannot be used.
    pub async fn bind(address: SocketAddr, tls: TlsFiles) -> Result<Self, ServeError> {
        let tls = Tls::load(tls).map_err(|source| ServeError::Tls { address, source })?;
        let listening = Listening::at(address).await?;
        Ok(Self { listening, tls })
    }

    /// The address, with the port that the kernel chose where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    /// Answers until `shutdown` ends.
    pub async fn serve(self, api: Arc<Api>, shutdown: impl Future<Output = ()>) {
        let limits = api.limits.clone();
        let places = Arc::new(Semaphore::new(limits.connections));
        let (connections, stop) = (TaskTracker::new(), CancellationToken::new());
        let router = router(Arc::clone(&api));
        let accept = async {
            loop {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let stream = self.listening.accept().await;
                let acceptor = self.tls.acceptor();
                let (router, limits, stop) = (router.clone(), limits.clone(), stop.clone());
                connections.spawn(async move {
                    let _place = place;
                    converse(stream, acceptor, router, &limits, &stop).await;
                });
            }
        };
        tokio::select! {
            () = accept => {}
            () = shutdown => {}
        }
        stop.cancel();
        api.stop();
        connections.close();
        if timeout(limits.drain_time, connections.wait()).await.is_err() {
            tracing::warn!(connections = connections.len(), "some answers did not end in time");
        }
    }
}

/// Answers requests of one connection. A request whose client goes away is given up.
async fn converse(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    router: Router,
    limits: &Limits,
    stop: &CancellationToken,
) {
    let Ok(Ok(stream)) = timeout(limits.head_time, acceptor.accept(stream)).await else { return };
    let (head_bytes, headers) = HEAD;
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(head_bytes)
        .max_headers(headers)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection ended early");
    }
}
