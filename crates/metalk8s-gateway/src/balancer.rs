//! The local balancer of the API servers: TLS passes through, nothing is decrypted (NET-12).
//!
//! A connection goes to the API server of this machine while that one is ready, else to the least used of the
//! others; when one cannot be reached the next is tried within a quarter of a second. There is no idle time-out,
//! since watches are quiet for long; dead peers are found by TCP keepalive.
//!
//! An API server uses the member of etcd beside it alone. While that one is away it accepts connections and lets
//! requests wait, for 34 s (the default of Kubernetes' API server), among them the kubelet's, which starts that
//! member again only after it has told the API. So its connections are cut when it is not ready.

mod backends;
mod config;
mod connect;
mod forward;
mod health;
mod probe;
mod readiness;

use std::net::SocketAddr;
use std::sync::Arc;

use metalk8s_diagnostics::{Code, Diagnose, Hint, code_of};
use metalk8s_listen::{Listening, ServeError};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use config::{BackendError, Backends, BalancerConfig, Probe, Readiness, parse_backends};

use self::backends::Pool;
use self::health::Health;
use crate::http::{Limits, Server};

/// Files and sockets that are open whatever the number of clients.
const SPARE_DESCRIPTORS: u64 = 256;

/// The balancer, which listens already and forwards once [`Balancer::serve`] runs.
pub struct Balancer {
    listening: Listening,
    health: Server,
    config: BalancerConfig,
    pool: Arc<Pool>,
}

/// Why the balancer could not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("could not start the balancer of the API servers")]
    Serve(#[from] ServeError),
    /// The backends cannot be read.
    #[error("could not read the addresses of the API servers")]
    Backends(#[from] BackendError),
}

impl Diagnose for StartError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Serve(err) => err.code(),
            Self::Backends(err) => Some(code_of(err)),
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Serve(err) => err.hints(),
            Self::Backends(_) => vec!["write one `ADDRESS:PORT` for each API server, each on a line".into()],
        }
    }
}

impl Balancer {
    /// Takes both addresses and reads the backends.
    pub async fn bind(config: BalancerConfig) -> Result<Self, StartError> {
        // Two sockets for each.
        crate::descriptors::allow(2 * config.connections as u64 + SPARE_DESCRIPTORS);
        let pool = Arc::new(Pool::new(config.local));
        pool.replace(&config.backends.read()?);
        let listening = Listening::at(config.listen).await?;
        let limits = Limits { connections: 64, ..Limits::default() };
        let health = Server::bind(config.health, None, limits).await?;
        Ok(Self { listening, health, config, pool })
    }

    /// Where it listens, with the port that the kernel chose.
    pub fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    /// Where it tells its health, with the port that the kernel chose.
    pub fn health_address(&self) -> SocketAddr {
        self.health.address()
    }

    /// Forwards until `shutdown`; then connections are given [`BalancerConfig::drain_time`] to end.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let Self { listening, health, config, pool } = self;
        let stop = CancellationToken::new();
        let _stop_at_end = stop.clone().drop_guard();
        let probing = probe::keep_probing(Arc::clone(&pool), config.backends.clone(), config.probe.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(probing));
        tracing::info!(address = %listening.address(), "balancing the API servers");
        let telling = health.serve(Health { pool: Arc::clone(&pool) }, stop.clone());
        let forwarding = accept_all(listening, &config, &pool, &stop);
        let stopping = async {
            shutdown.await;
            stop.cancel();
        };
        tokio::join!(telling, forwarding, stopping);
    }
}

async fn accept_all(
    listening: Listening,
    config: &BalancerConfig,
    pool: &Arc<Pool>,
    stop: &CancellationToken,
) {
    let places = Arc::new(Semaphore::new(config.connections));
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    let accepting = async {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let client = listening.accept().await;
            let (pool, cut) = (Arc::clone(pool), cut.clone());
            connections.spawn(async move {
                cut.run_until_cancelled(forward::forward(client, &pool)).await;
                drop(place);
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
    drop(listening);
    connections.close();
    if tokio::time::timeout(config.drain_time, connections.wait()).await.is_err() {
        cut.cancel();
        connections.wait().await;
    }
}

/// Balances connections over the API servers until `shutdown`.
pub async fn serve_balancer(
    config: BalancerConfig,
    shutdown: impl Future<Output = ()>,
) -> Result<(), StartError> {
    Balancer::bind(config).await?.serve(shutdown).await;
    Ok(())
}
