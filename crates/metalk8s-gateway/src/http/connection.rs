use std::pin::Pin;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use super::response::Response;
use super::transmit::transmit;
use super::transport::Transport;
use super::{Handler, Limits, Method, Rejection, Request, Traffic, parse_head};

/// What all connections of a server share.
pub(super) struct Shared<H> {
    pub(super) handler: H,
    pub(super) limits: Limits,
    pub(super) traffic: std::sync::Arc<Traffic>,
    /// One permit for each connection that may still be opened.
    pub(super) places: std::sync::Arc<Semaphore>,
    /// The server is to stop: running answers end, no further request is read.
    pub(super) stop: CancellationToken,
}

/// One timer per connection, set anew for every wait.
pub(super) struct Patience<'a> {
    timer: Pin<&'a mut Sleep>,
    stall_time: Duration,
}

impl Patience<'_> {
    /// Waits for the client to take bytes; `None` if it takes none for too long.
    pub(super) async fn for_progress<T>(&mut self, wait: impl Future<Output = T>) -> Option<T> {
        let deadline = Instant::now() + self.stall_time;
        self.until(deadline, wait).await
    }

    async fn until<T>(&mut self, deadline: Instant, wait: impl Future<Output = T>) -> Option<T> {
        self.timer.as_mut().reset(deadline);
        tokio::select! {
            biased;
            done = wait => Some(done),
            () = self.timer.as_mut() => None,
        }
    }
}

/// What came from the client.
enum Next {
    Request(Request),
    Rejected(Rejection),
    /// Nothing more: it closed, it was idle for too long, or we are to stop.
    Closed,
}

/// Answers requests until the connection ends.
pub(super) async fn converse<H: Handler>(mut transport: Transport, shared: &Shared<H>) {
    let timer = std::pin::pin!(tokio::time::sleep(shared.limits.idle_time));
    let mut patience = Patience { timer, stall_time: shared.limits.stall_time };
    let mut stopped = std::pin::pin!(shared.stop.cancelled());
    let mut buffer = Vec::with_capacity(2048);
    loop {
        let next = tokio::select! {
            biased;
            next = next_request(&mut transport, &mut buffer, &shared.limits, &mut patience) => next,
            () = stopped.as_mut(), if buffer.is_empty() => Next::Closed,
        };
        let (response, keep_alive, with_body) = match next {
            Next::Closed => return,
            Next::Rejected(rejection) => {
                (Response::text(rejection.status(), format!("{rejection}\n")), false, true)
            }
            Next::Request(request) => {
                // When places are scarce, a client must not keep one it does not use.
                let is_crowded = shared.places.available_permits() == 0;
                let keep_alive = request.keep_alive && !is_crowded && !shared.stop.is_cancelled();
                let response = shared.handler.answer(&request).await;
                tracing::debug!(
                    method = ?request.method, path = request.raw_path, status = response.status.as_u16(), "answered"
                );
                (response, keep_alive, request.method != Method::Head)
            }
        };
        shared.traffic.answered(response.status);
        match transmit(&mut transport, response, keep_alive, with_body, &mut patience).await {
            Ok(bytes) => shared.traffic.sent(bytes),
            Err(err) => {
                shared.traffic.broke();
                tracing::debug!(error = &err as &dyn std::error::Error, "an answer did not reach its end");
                return;
            }
        }
        if !keep_alive {
            return transport.finish().await;
        }
    }
}

async fn next_request(
    transport: &mut Transport,
    buffer: &mut Vec<u8>,
    limits: &Limits,
    patience: &mut Patience<'_>,
) -> Next {
    let mut deadline = Instant::now() + if buffer.is_empty() { limits.idle_time } else { limits.head_time };
    // A head is parsed when its first bytes arrive, which unmasks what is no HTTP, and when it is complete:
    // parsing at every byte would let a client that sends single bytes keep the processor busy.
    let mut fresh = 0;
    loop {
        if !buffer.is_empty()
            && (fresh == 0 || ends_within(buffer, fresh) || buffer.len() >= limits.head_bytes)
        {
            match parse_head(buffer, limits) {
                Ok(Some((request, taken))) => {
                    buffer.drain(..taken);
                    return Next::Request(request);
                }
                Ok(None) => {}
                Err(rejection) => return Next::Rejected(rejection),
            }
        }
        fresh = buffer.len();
        let space = limits.head_bytes.saturating_sub(buffer.len()).max(1);
        match patience.until(deadline, transport.read(buffer, space)).await {
            Some(Ok(0) | Err(_)) => return Next::Closed,
            None if fresh == 0 => return Next::Closed,
            None => return Next::Rejected(Rejection::TimedOut),
            Some(Ok(_)) if fresh == 0 => deadline = Instant::now() + limits.head_time,
            Some(Ok(_)) => {}
        }
    }
}

/// Whether an empty line ends in the bytes from `fresh` on.
fn ends_within(buffer: &[u8], fresh: usize) -> bool {
    let tail = &buffer[fresh.saturating_sub(2)..];
    tail.windows(2).any(|pair| pair == b"\n\n") || tail.windows(3).any(|three| three == b"\n\r\n")
}

/// The answer to a method that is not served here.
pub(crate) fn method_not_allowed() -> Response {
    Response::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served here\n")
        .header("Allow", "GET, HEAD")
}
