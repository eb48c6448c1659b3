//! A session with a machine: who it is, and who we are.

mod error;

use std::{
    fmt, io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use russh::{
    Preferred,
    client::{self, AuthResult, Handle},
    keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
};

pub use self::error::ConnectError;
use crate::{
    Endpoint, Options,
    host_key::{Seen, Watcher, described},
    key,
};

/// How many intervals of silence there are before a machine is given up.
const PATIENCE: u32 = 3;

/// An open connection to a machine. It ends when this is dropped.
pub struct Session {
    pub(crate) endpoint: Endpoint,
    pub(crate) handle: Handle<Watcher>,
    pub(crate) seen: Arc<Seen>,
    host_key: String,
}

impl Session {
    /// Connects and logs in.
    ///
    /// `expected` is the fingerprint of the machine's host key, as [`Session::host_key`] told it before. With
    /// `None` any key is taken: keep it then, so that nobody else can take the machine's place later.
    ///
    /// # Errors
    /// When there is no such machine, when it is another one, or when it does not let us in.
    pub async fn connect(
        endpoint: &Endpoint,
        expected: Option<&str>,
        options: &Options,
    ) -> Result<Self, ConnectError> {
        let wait = Wait::new(endpoint, options);
        let key = wait.at_most("the private key", key::load(&endpoint.key)).await??;
        let stream = wait.open(endpoint).await?;
        Self::begin(wait, key, stream, endpoint, expected, options).await
    }

    /// The same over a connection that is open already: where the endpoint leads is for messages only.
    ///
    /// # Errors
    /// When it is another machine, or when it does not let us in.
    pub async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        endpoint: &Endpoint,
        expected: Option<&str>,
        options: &Options,
    ) -> Result<Self, ConnectError> {
        let wait = Wait::new(endpoint, options);
        let key = wait.at_most("the private key", key::load(&endpoint.key)).await??;
        Self::begin(wait, key, stream, endpoint, expected, options).await
    }

    async fn begin(
        wait: Wait,
        key: PrivateKey,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        endpoint: &Endpoint,
        expected: Option<&str>,
        options: &Options,
    ) -> Result<Self, ConnectError> {
        let seen = Arc::new(Seen::default());
        let watcher = Watcher::new(expected, Arc::clone(&seen));
        let greeting = client::connect_stream(Arc::new(config(options)), stream, watcher);
        let mut handle = match wait.at_most("the greeting of its SSH server", greeting).await? {
            Ok(handle) => handle,
            Err(error) => return Err(wait.judge(error, &seen, expected)),
        };
        let login = login(&mut handle, endpoint, key);
        match wait.at_most("the login", login).await? {
            Ok(AuthResult::Success) => {}
            Ok(AuthResult::Failure { partial_success, .. }) => {
                return Err(ConnectError::Denied {
                    place: wait.place,
                    user: endpoint.user.clone(),
                    key: endpoint.key.clone(),
                    wants_more: partial_success,
                });
            }
            Err(error) => return Err(wait.judge(error, &seen, expected)),
        }
        let host_key = seen.host_key().unwrap_or_default();
        tracing::debug!(machine = %endpoint, %host_key, "logged in over SSH");
        Ok(Self { endpoint: endpoint.clone(), handle, seen, host_key })
    }

    /// The fingerprint of the machine's host key, such as `SHA256:…`.
    pub fn host_key(&self) -> &str {
        &self.host_key
    }

    /// Where this leads.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("endpoint", &self.endpoint)
            .field("host_key", &self.host_key)
            .finish_non_exhaustive()
    }
}

fn config(options: &Options) -> client::Config {
    let mut preferred = Preferred::DEFAULT;
    // A host key signed with SHA-1 proves nothing.
    preferred.key.to_mut().retain(|known| *known != Algorithm::Rsa { hash: None });
    client::Config {
        keepalive_interval: Some(options.keepalive),
        keepalive_max: PATIENCE as usize - 1,
        // Keepalives are not sent while a write hangs; this ends such a write.
        inactivity_timeout: Some(options.keepalive * PATIENCE),
        nodelay: true,
        preferred,
        ..client::Config::default()
    }
}

async fn login(
    handle: &mut Handle<Watcher>,
    endpoint: &Endpoint,
    key: PrivateKey,
) -> Result<AuthResult, russh::Error> {
    let hash = if matches!(key.algorithm(), Algorithm::Rsa { .. }) {
        // Never SHA-1, which servers of today refuse anyway.
        let best = handle.best_supported_rsa_hash().await?.flatten();
        Some(best.unwrap_or(HashAlg::Sha512))
    } else {
        None
    };
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
    handle.authenticate_publickey(&endpoint.user, key).await
}

/// The patience for one connection.
struct Wait {
    place: String,
    start: Instant,
    longest: Duration,
}

impl Wait {
    fn new(endpoint: &Endpoint, options: &Options) -> Self {
        Self { place: endpoint.place(), start: Instant::now(), longest: options.connect_timeout }
    }

    fn left(&self) -> Duration {
        self.longest.saturating_sub(self.start.elapsed())
    }

    async fn at_most<T>(
        &self,
        awaited: &'static str,
        doing: impl Future<Output = T>,
    ) -> Result<T, ConnectError> {
        tokio::time::timeout(self.left(), doing).await.map_err(|_| self.timed_out(awaited))
    }

    fn timed_out(&self, awaited: &'static str) -> ConnectError {
        ConnectError::TimedOut { place: self.place.clone(), awaited, after: self.longest }
    }

    /// Tries the addresses of the machine one after the other; each gets its share of the time.
    async fn open(&self, endpoint: &Endpoint) -> Result<TcpStream, ConnectError> {
        let not_resolved = |source| ConnectError::NotResolved { host: endpoint.host.clone(), source };
        let lookup = lookup_host((endpoint.host.as_str(), endpoint.port));
        let addresses = self.at_most("its address", lookup).await?.map_err(not_resolved)?;
        let addresses: Vec<SocketAddr> = addresses.collect();
        let mut failure = not_resolved(io::Error::other("the name has no address"));
        for (tried, address) in addresses.iter().enumerate() {
            let shares = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            failure = match tokio::time::timeout(self.left() / shares, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Without it lines arrive later, nothing else.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(source)) => self.not_open(source),
                Err(_) => self.timed_out("an answer of the machine"),
            };
        }
        Err(failure)
    }

    fn not_open(&self, source: io::Error) -> ConnectError {
        let place = self.place.clone();
        if source.kind() == io::ErrorKind::ConnectionRefused {
            ConnectError::Refused { place, source }
        } else {
            ConnectError::Unreachable { place, source }
        }
    }

    /// What a failure of the protocol means, with what was seen before it.
    fn judge(self, error: russh::Error, seen: &Seen, expected: Option<&str>) -> ConnectError {
        let place = self.place;
        match error {
            russh::Error::UnknownKey => match (expected, seen.host_key()) {
                (Some(expected), Some(found)) => {
                    ConnectError::HostKeyChanged { place, expected: expected.to_owned(), found }
                }
                _ => ConnectError::Protocol { place, source: "the machine shows no plain host key".into() },
            },
            error if is_the_end(&error) => {
                let source = seen.parting().unwrap_or_else(|| described(&error)).into();
                ConnectError::Closed { place, source }
            }
            error => ConnectError::Protocol { place, source: described(&error).into() },
        }
    }
}

/// Whether the connection ended, rather than that something wrong was said over it.
fn is_the_end(error: &russh::Error) -> bool {
    matches!(
        error,
        russh::Error::Disconnect
            | russh::Error::HUP
            | russh::Error::IO(_)
            | russh::Error::SendError
            | russh::Error::RecvError
            | russh::Error::KeepaliveTimeout
            | russh::Error::InactivityTimeout
            | russh::Error::ConnectionTimeout
    )
}
