//! What our servers share before HTTP: an address, a certificate that is read again when its files change, and
//! why a server could not begin.
//!
//! Begin with [`Listening`].

mod error;
mod tls;

use std::{net::SocketAddr, time::Duration};

use tokio::net::{TcpListener, TcpStream};

pub use error::ServeError;
pub use tls::{Tls, TlsError, TlsFiles};

/// The wait after an accept that failed, so that a lack of file descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server's address, taken.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listening {
    /// Takes an address; port 0 is one that the kernel chooses.
    ///
    /// # Errors
    /// When it is taken, or not one of this machine.
    pub async fn at(address: SocketAddr) -> Result<Self, ServeError> {
        let listen = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, address })
    }

    /// The address, with the port that the kernel chose where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next client. One that could not be accepted is told of, and the next one waited for.
    pub async fn accept(&self) -> TcpStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return stream,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "could not accept a connection, trying again"
                    );
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}
