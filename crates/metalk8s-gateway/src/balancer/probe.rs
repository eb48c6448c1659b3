use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::join_all;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::backends::{Backend, Pool};
use super::config::{Backends, Probe};

/// A backend that failed this often in a row is dead, and not only busy.
const DEAD_AFTER: u32 = 3;

/// Follows the file of backends, and looks whether they accept connections, for ever.
///
/// A TCP connection is all that can be asked without credentials: anonymous requests are refused.
pub(super) async fn keep_probing(pool: Arc<Pool>, source: Backends, probe: Probe) {
    let mut failures: HashMap<SocketAddr, u32> = HashMap::new();
    let mut next_look: HashMap<SocketAddr, Instant> = HashMap::new();
    let mut interval = tokio::time::interval(probe.retry);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut is_source_bad = false;
    loop {
        interval.tick().await;
        is_source_bad = follow(&pool, &source, is_source_bad).await;
        let backends = pool.all();
        failures.retain(|address, _| backends.iter().any(|backend| backend.address == *address));
        next_look.retain(|address, _| backends.iter().any(|backend| backend.address == *address));
        let now = Instant::now();
        let due = backends.iter().filter(|backend| {
            !backend.is_up() || next_look.get(&backend.address).is_none_or(|&look| look <= now)
        });
        for (backend, result) in join_all(due.map(|backend| look(backend, &probe))).await {
            next_look.insert(backend.address, now + probe.interval);
            let failed = failures.entry(backend.address).or_default();
            match result {
                Ok(()) => {
                    *failed = 0;
                    backend.answered();
                }
                Err(err) => {
                    *failed = failed.saturating_add(1);
                    backend.failed(&err);
                }
            }
        }
        let has_choice = backends.iter().any(|backend| backend.is_up());
        for backend in &backends {
            let is_dead = failures.get(&backend.address).is_some_and(|&failed| failed >= DEAD_AFTER);
            // Cutting helps only those who then find another one.
            if is_dead && has_choice && backend.connections() > 0 {
                tracing::warn!(backend = %backend.address, "an API server is dead, its connections are closed");
                backend.cut_connections();
            }
        }
    }
}

/// Reads the backends again; a list that cannot be read changes nothing. Tells whether that is so.
async fn follow(pool: &Pool, source: &Backends, was_bad: bool) -> bool {
    let Backends::File(_) = source else { return false };
    let source = source.clone();
    let Ok(read) = tokio::task::spawn_blocking(move || source.read()).await else { return was_bad };
    match read {
        Ok(addresses) => {
            let is_same = pool.all().iter().map(|backend| backend.address).eq(addresses.iter().copied());
            if !is_same {
                pool.replace(&addresses);
            }
            false
        }
        Err(err) => {
            if !was_bad {
                let error = &err as &dyn std::error::Error;
                tracing::warn!(error, "could not read the API servers again, the list from before stays");
            }
            true
        }
    }
}

async fn look<'a>(backend: &'a Arc<Backend>, probe: &Probe) -> (&'a Arc<Backend>, io::Result<()>) {
    let connecting = tokio::time::timeout(probe.timeout, TcpStream::connect(backend.address));
    let result = connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    (backend, result.map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_list_that_cannot_be_read_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("apiservers");
        let source = Backends::File(list.clone());
        let pool = Pool::new(None);
        std::fs::write(&list, "192.0.2.1:6443\n").unwrap();
        assert!(!follow(&pool, &source, false).await);
        for broken in ["", "not an address\n", "192.0.2.2:6443\nnot an address\n"] {
            std::fs::write(&list, broken).unwrap();
            assert!(follow(&pool, &source, false).await, "{broken}");
        }
        std::fs::remove_file(&list).unwrap();
        assert!(follow(&pool, &source, false).await);
        let addresses: Vec<String> = pool.all().iter().map(|backend| backend.address.to_string()).collect();
        assert_eq!(addresses, ["192.0.2.1:6443"]);
    }
}
