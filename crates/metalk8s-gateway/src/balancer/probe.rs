use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::backends::{Backend, Pool};
use super::config::{Backends, Probe};
use super::readiness::Question;

/// A backend that failed this often in a row is dead, and not only busy.
const DEAD_AFTER: u32 = 3;

/// What is known of a backend.
#[derive(Default)]
struct Known {
    /// How often in a row it has failed.
    failures: u32,
    /// Whether it was ready before that.
    was_ready: bool,
    next_look: Option<Instant>,
}

/// What a look has found.
enum Found {
    Up,
    /// It accepts connections, and cannot answer requests.
    Unready(io::Error),
    Away(io::Error),
}

/// Follows the file of backends, and looks whether they are there, for ever.
///
/// Of API servers on other machines a TCP connection is all that is asked.
pub(super) async fn keep_probing(pool: Arc<Pool>, source: Backends, probe: Probe) {
    let question = Question::new();
    let mut known: HashMap<SocketAddr, Known> = HashMap::new();
    let mut interval = tokio::time::interval(probe.retry);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut is_source_bad = false;
    loop {
        interval.tick().await;
        is_source_bad = follow(&pool, &source, is_source_bad).await;
        let backends = pool.all();
        known.retain(|address, _| backends.iter().any(|backend| backend.address == *address));
        let now = Instant::now();
        let due = backends.iter().filter(|backend| {
            let next_look = known.get(&backend.address).and_then(|known| known.next_look);
            !backend.is_up() || next_look.is_none_or(|look| look <= now)
        });
        for (backend, found) in join_all(due.map(|backend| look(backend, &probe, &question))).await {
            let known = known.entry(backend.address).or_default();
            known.next_look = Some(now + pause(backend, &probe));
            note(backend, known, &found, &probe);
        }
        let has_choice = backends.iter().any(|backend| backend.is_up());
        for backend in &backends {
            let is_dead = known.get(&backend.address).is_some_and(|known| is_dead(known, has_choice));
            if is_dead && backend.connections() > 0 {
                tracing::warn!(backend = %backend.address, "an API server is dead, its connections are closed");
                backend.cut_connections();
            }
        }
    }
}

/// Whether connections to it are better closed.
///
/// Where there is another one, all are, until it is back. Where there is none, those that wait for an answer are
/// freed, once: the kubelet goes on with its pods without it, among which is the member of etcd.
fn is_dead(known: &Known, has_choice: bool) -> bool {
    match has_choice {
        true => known.failures >= DEAD_AFTER,
        false => known.failures == DEAD_AFTER && known.was_ready,
    }
}

fn note(backend: &Backend, known: &mut Known, found: &Found, probe: &Probe) {
    match found {
        Found::Up => {
            *known = Known { failures: 0, was_ready: is_asked(backend, probe), ..*known };
            backend.answered();
            backend.ready();
            return;
        }
        Found::Unready(err) => backend.unready(err),
        Found::Away(err) => {
            backend.failed(err);
            if is_asked(backend, probe) {
                backend.distrust();
            }
        }
    }
    known.failures = known.failures.saturating_add(1);
}

/// Whether it is asked if it is ready.
fn is_asked(backend: &Backend, probe: &Probe) -> bool {
    backend.is_local && probe.readiness.is_some()
}

/// How long one that answers is left alone.
fn pause(backend: &Backend, probe: &Probe) -> Duration {
    match &probe.readiness {
        Some(readiness) if backend.is_local => readiness.interval,
        _ => probe.interval,
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

async fn look<'a>(
    backend: &'a Arc<Backend>,
    probe: &Probe,
    question: &Question,
) -> (&'a Arc<Backend>, Found) {
    let too_late = |_| Err(io::ErrorKind::TimedOut.into());
    let connecting = timeout(probe.timeout, TcpStream::connect(backend.address));
    let stream = match connecting.await.unwrap_or_else(too_late) {
        Ok(stream) => stream,
        Err(err) => return (backend, Found::Away(err)),
    };
    let Some(readiness) = probe.readiness.as_ref().filter(|_| backend.is_local) else {
        return (backend, Found::Up);
    };
    let asking = timeout(readiness.timeout, question.ask(backend.address, stream));
    match asking.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(()) => (backend, Found::Up),
        Err(err) => (backend, Found::Unready(err)),
    }
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
