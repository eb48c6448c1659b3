//! What all requests share.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use metalk8s_orchestrator::bus::Bus;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    answer::ApiError,
    events::Events,
    rate::{Bucket, Rate},
    reviews::Reviews,
    sessions::Sessions,
    stats::Stats,
};

/// What one client, and all clients together, may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections open at once. Further clients wait in the kernel's queue.
    pub connections: usize,
    /// Streams of events open at once.
    pub streams: usize,
    /// Functions of the master that are carried out while nobody waits for them.
    pub background: usize,
    /// Sessions kept at once.
    pub sessions: usize,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Time for a body to arrive.
    pub body_time: Duration,
    /// Time for the TLS handshake, for a head to arrive, and for a connection to stay open without one.
    pub head_time: Duration,
    /// How long a session lasts where its token says nothing else.
    pub session_time: Duration,
    /// Requests of one session, each second and at once.
    pub session_rate: Rate,
    /// Tokens that the cluster is asked about, each second and at once.
    pub review_rate: Rate,
    /// How often a stream without events says that it is there.
    pub keep_alive: Duration,
    /// Time that running answers are given to end once the server is told to stop.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            streams: 64,
            background: 32,
            sessions: 1024,
            body_bytes: 1 << 20,
            body_time: Duration::from_secs(20),
            head_time: Duration::from_secs(30),
            session_time: Duration::from_secs(12 * 3600),
            session_rate: Rate { each_second: 50.0, at_once: 100.0 },
            review_rate: Rate { each_second: 10.0, at_once: 50.0 },
            keep_alive: Duration::from_secs(15),
            drain_time: Duration::from_secs(10),
        }
    }
}

/// The API behind its paths.
pub struct Api {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) reviews: Arc<dyn Reviews>,
    pub(crate) limits: Limits,
    pub(crate) sessions: Sessions,
    pub(crate) events: Arc<Events>,
    pub(crate) stats: Stats,
    /// One permit for each function of the master that may still be carried out with nobody waiting.
    pub(crate) background: Arc<Semaphore>,
    /// Streams end, because the server does.
    pub(crate) stop: CancellationToken,
    review_bucket: std::sync::Mutex<Bucket>,
}

impl Api {
    /// Nobody is logged in, and nothing is watched.
    pub fn new(bus: Arc<dyn Bus>, reviews: Arc<dyn Reviews>, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            bus,
            reviews,
            sessions: Sessions::new(limits.sessions, limits.session_rate),
            events: Arc::new(Events::new(limits.streams)),
            stats: Stats::default(),
            background: Arc::new(Semaphore::new(limits.background)),
            stop: CancellationToken::new(),
            review_bucket: std::sync::Mutex::new(Bucket::new(limits.review_rate, Instant::now())),
            limits,
        })
    }

    /// Ends all streams.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// The API server is not to be asked about more tokens than this.
    pub(crate) fn take_review(&self) -> Result<(), ApiError> {
        let mut bucket = self.review_bucket.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        bucket.take(Instant::now()).map_err(ApiError::TooMany)
    }
}
