use std::io;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;

use super::backends::Pool;
use super::connect::connect;

/// Memory of one direction of one connection.
const BUFFER: usize = 16 * 1024;
/// A peer that is silent for this long is asked whether it is still there ...
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
/// ... again after this long ...
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// ... and is given up after this many questions.
const KEEPALIVE_COUNT: u32 = 3;
/// Bytes that are not acknowledged for this long (milliseconds) end the connection, like a silent peer.
const UNACKNOWLEDGED_MS: u32 = 11_000;

/// Carries one connection to its end. When no backend accepts, the client's is closed.
pub(super) async fn forward(mut client: TcpStream, pool: &Pool) {
    let Some((backend, mut server)) = connect(pool).await else {
        tracing::warn!("no API server accepts a connection");
        return;
    };
    let used = backend.enter();
    let prepared = prepare(&client).and_then(|()| prepare(&server));
    if let Err(err) = prepared {
        tracing::warn!(error = &err as &dyn std::error::Error, "could not set up a connection");
        return;
    }
    let copying = tokio::io::copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER);
    match used.cut.run_until_cancelled(copying).await {
        Some(Ok((sent, received))) => tracing::debug!(backend = %backend.address, sent, received, "closed"),
        Some(Err(err)) => {
            let error = &err as &dyn std::error::Error;
            tracing::debug!(backend = %backend.address, error, "a connection broke");
        }
        None => tracing::debug!(backend = %backend.address, "a connection was cut off"),
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_tcp_nodelay(stream, true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_COUNT)?;
    sockopt::set_tcp_user_timeout(stream, UNACKNOWLEDGED_MS)?;
    Ok(())
}
