use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::net::TcpStream;

use super::backends::{Backend, Pool};

/// How long one backend is waited for before the next is tried beside it. One that refuses is left at once; this
/// is for a machine that is gone and answers nothing.
const HEAD_START: Duration = Duration::from_millis(250);
/// How long a backend may take in all.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Connects to the first backend of the pool's order that accepts.
pub(super) async fn connect(pool: &Pool) -> Option<(Arc<Backend>, TcpStream)> {
    let mut waiting = pool.order().into_iter();
    let mut tries = FuturesUnordered::new();
    tries.push(attempt(waiting.next()?));
    loop {
        let next = tokio::time::timeout(HEAD_START, tries.next()).await;
        match next {
            Ok(Some((backend, Ok(stream)))) => {
                backend.answered();
                return Some((backend, stream));
            }
            Ok(Some((backend, Err(err)))) => backend.failed(&err),
            // All that were tried have failed.
            Ok(None) if waiting.len() == 0 => return None,
            Ok(None) | Err(_) => {}
        }
        if let Some(backend) = waiting.next() {
            tries.push(attempt(backend));
        }
    }
}

async fn attempt(backend: Arc<Backend>) -> (Arc<Backend>, io::Result<TcpStream>) {
    let connecting = tokio::time::timeout(CONNECT_TIME, TcpStream::connect(backend.address));
    let result = connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    (backend, result)
}
