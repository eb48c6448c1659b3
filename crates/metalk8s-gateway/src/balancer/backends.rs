use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio_util::sync::CancellationToken;

/// One API server.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) address: SocketAddr,
    /// Whether it is the one of this machine.
    pub(super) is_local: bool,
    /// Whether it accepts connections.
    accepts: AtomicBool,
    /// Whether it has not told that it cannot answer requests.
    is_ready: AtomicBool,
    connections: AtomicUsize,
    failures: AtomicU64,
    /// Ends the connections that were made so far.
    cut: Mutex<CancellationToken>,
}

/// Counts a connection for as long as it lives.
pub(super) struct Use {
    backend: Arc<Backend>,
    pub(super) cut: CancellationToken,
}

impl Drop for Use {
    fn drop(&mut self) {
        self.backend.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Backend {
    fn new(address: SocketAddr, local: Option<IpAddr>) -> Self {
        let is_local = match local {
            Some(local) => local == address.ip(),
            None => is_of_this_machine(address.ip()),
        };
        Self {
            address,
            is_local,
            // Until it is tried, it is thought well of: the first client must not wait for a probe.
            accepts: AtomicBool::new(true),
            is_ready: AtomicBool::new(true),
            connections: AtomicUsize::new(0),
            failures: AtomicU64::new(0),
            cut: Mutex::default(),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.accepts.load(Ordering::Relaxed) && self.is_ready.load(Ordering::Relaxed)
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// It has accepted a connection.
    pub(super) fn answered(&self) {
        if !self.accepts.swap(true, Ordering::Relaxed) {
            tracing::info!(backend = %self.address, "an API server answers again");
        }
    }

    /// It has told that it can answer requests.
    pub(super) fn ready(&self) {
        if !self.is_ready.swap(true, Ordering::Relaxed) {
            tracing::info!(backend = %self.address, "the API server of this machine is ready");
        }
    }

    /// It may accept connections before it can answer requests: it has to tell first.
    pub(super) fn distrust(&self) {
        self.is_ready.store(false, Ordering::Relaxed);
    }

    /// It accepts connections, and cannot answer requests.
    pub(super) fn unready(&self, err: &std::io::Error) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        if self.is_ready.swap(false, Ordering::Relaxed) {
            let (backend, error) = (self.address, err as &dyn std::error::Error);
            tracing::warn!(%backend, error, "the API server of this machine is not ready, will use the others");
        }
    }

    pub(super) fn failed(&self, err: &std::io::Error) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        if self.accepts.swap(false, Ordering::Relaxed) {
            let error = err as &dyn std::error::Error;
            tracing::warn!(backend = %self.address, error, "an API server does not answer, will use the others");
        }
    }

    /// Notes a connection to it.
    pub(super) fn enter(self: &Arc<Self>) -> Use {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Use { backend: Arc::clone(self), cut }
    }

    /// Closes its connections, so that their clients connect anew, and are sent elsewhere.
    pub(super) fn cut_connections(&self) {
        let mut cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *cut).cancel();
    }
}

/// Only an address of this machine can be bound. No packet is sent.
fn is_of_this_machine(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// All API servers.
#[derive(Debug)]
pub(super) struct Pool {
    local: Option<IpAddr>,
    backends: RwLock<Vec<Arc<Backend>>>,
    turn: AtomicUsize,
}

impl Pool {
    pub(super) fn new(local: Option<IpAddr>) -> Self {
        Self { local, backends: RwLock::default(), turn: AtomicUsize::new(0) }
    }

    pub(super) fn all(&self) -> Vec<Arc<Backend>> {
        self.backends.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes these the backends. Those that stay keep their state and connections, those that go lose theirs.
    pub(super) fn replace(&self, addresses: &[SocketAddr]) {
        let mut backends = self.backends.write().unwrap_or_else(PoisonError::into_inner);
        let (kept, gone): (Vec<_>, Vec<_>) =
            backends.drain(..).partition(|backend| addresses.contains(&backend.address));
        *backends = addresses
            .iter()
            .map(|&address| {
                let known = kept.iter().find(|backend| backend.address == address);
                known.cloned().unwrap_or_else(|| {
                    tracing::info!(backend = %address, "an API server was added");
                    Arc::new(Backend::new(address, self.local))
                })
            })
            .collect();
        drop(backends);
        for backend in gone {
            tracing::info!(backend = %backend.address, "an API server was removed, its connections are closed");
            backend.cut_connections();
        }
    }

    /// In which order to try them: the healthy before the others, the local one before the remote ones, the
    /// less used before the more used, and in turn among equals.
    pub(super) fn order(&self) -> Vec<Arc<Backend>> {
        let mut order = self.all();
        if !order.is_empty() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % order.len();
            order.rotate_left(turn);
        }
        order.sort_by_cached_key(|backend| (!backend.is_up(), !backend.is_local, backend.connections()));
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 6443))
    }

    fn first(pool: &Pool) -> u8 {
        match pool.order()[0].address.ip() {
            IpAddr::V4(ip) => ip.octets()[3],
            IpAddr::V6(_) => unreachable!("the test uses IPv4"),
        }
    }

    fn pool(local: Option<u8>) -> Pool {
        let pool = Pool::new(Some(local.map_or(IpAddr::from([127, 0, 0, 1]), |last| address(last).ip())));
        pool.replace(&[address(1), address(2), address(3)]);
        pool
    }

    fn fail(backend: &Backend) {
        backend.failed(&std::io::ErrorKind::ConnectionRefused.into());
    }

    #[test]
    fn the_local_one_is_preferred_while_it_answers() {
        let pool = pool(Some(2));
        let local = Arc::clone(&pool.all()[1]);
        let _uses: Vec<_> = (0..10).map(|_| local.enter()).collect();
        assert_eq!(first(&pool), 2);
        fail(&local);
        assert_ne!(first(&pool), 2);
        assert_eq!(pool.order()[2].address, address(2), "it stays the last resort");
        local.answered();
        assert_eq!(first(&pool), 2);
    }

    #[test]
    fn the_least_used_is_next_and_equals_take_turns() {
        let pool = pool(None);
        let firsts: std::collections::BTreeSet<u8> = (0..3).map(|_| first(&pool)).collect();
        assert_eq!(firsts.len(), 3);
        let all = pool.all();
        let (_one, _two) = (all[0].enter(), all[2].enter());
        assert_eq!((0..3).map(|_| first(&pool)).collect::<Vec<_>>(), [2, 2, 2]);
    }

    #[test]
    fn a_connection_is_counted_while_it_lives() {
        let pool = pool(None);
        let backend = Arc::clone(&pool.all()[0]);
        let used = backend.enter();
        assert_eq!(backend.connections(), 1);
        drop(used);
        assert_eq!(backend.connections(), 0);
    }

    #[test]
    fn removal_cuts_connections_and_staying_keeps_them() {
        let pool = pool(None);
        let all = pool.all();
        let (gone, kept) = (all[0].enter(), all[1].enter());
        fail(&all[1]);
        pool.replace(&[address(2), address(4)]);
        assert!(gone.cut.is_cancelled());
        assert!(!kept.cut.is_cancelled());
        assert!(!pool.all()[0].is_up(), "what is known of it stays known");
    }

    #[test]
    fn only_addresses_of_this_machine_are_its_own() {
        assert!(is_of_this_machine(IpAddr::from([127, 0, 0, 1])));
        assert!(!is_of_this_machine(address(1).ip()));
    }
}
