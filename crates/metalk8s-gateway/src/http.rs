//! A small HTTP/1.1 server that answers GET and HEAD and sends files.
//!
//! It is our own because a layer should go from the page cache to the socket without passing through this
//! process (sendfile), which the usual server libraries do not offer. Parsing the head is left to httparse.
//! Requests with a body are answered and their connection is closed, so bodies are never interpreted.

mod conditional;
mod connection;
mod limits;
mod listener;
mod path;
mod range;
mod request;
mod response;
mod traffic;
mod transmit;
mod transport;

pub use limits::Limits;
pub use path::{BadPath, decode_path};
pub use range::{Range, parse_range};
pub use request::{Method, Rejection, Request, parse_head};

pub(crate) use conditional::{is_unchanged, wants_range};
pub(crate) use connection::method_not_allowed;
pub(crate) use listener::Server;
pub(crate) use response::{Body, Response};
pub(crate) use traffic::{Traffic, TrafficFigures};

/// What answers requests.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Answers one request. The body of an answer to HEAD is dropped by the server; its length is still told.
    fn answer(&self, request: &Request) -> impl Future<Output = Response> + Send;
}
