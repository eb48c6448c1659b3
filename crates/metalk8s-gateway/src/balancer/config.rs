use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Largest file of backends that is read.
const MAX_FILE: u64 = 64 * 1024;
/// Most backends; a cluster has one API server on each of a few machines.
const MAX_BACKENDS: usize = 256;

/// What `metalk8s apiserver-proxy` is told.
#[derive(Debug, Clone)]
pub struct BalancerConfig {
    /// Where kubelet and the others connect to.
    pub listen: SocketAddr,
    /// Where `/healthz`, `/readyz` and `/metrics` are answered.
    pub health: SocketAddr,
    /// The API servers.
    pub backends: Backends,
    /// Address of this machine's API server, which is preferred. If `None`, the backends whose address is one of
    /// this machine are.
    pub local: Option<IpAddr>,
    /// Connections at once; each takes 32 KiB. Further clients wait in the kernel's queue.
    pub connections: usize,
    /// How backends are watched.
    pub probe: Probe,
    /// Time that connections are given to end at shutdown. Watches do not end, so it is short.
    pub drain_time: Duration,
}

/// How backends are watched.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Time between two looks at a backend that answers.
    pub interval: Duration,
    /// Time between two looks at one that does not, and at the file of backends.
    pub retry: Duration,
    /// Time a backend has to accept a connection.
    pub timeout: Duration,
    /// How this machine's API server is asked whether it is ready; if `None`, it is enough that it accepts
    /// connections, as for the others.
    pub readiness: Option<Readiness>,
}

/// How this machine's API server is asked for its `/readyz`.
///
/// Those of other machines are not: each node would ask each of them, and that is what they have most of.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// Time between two questions while it is ready.
    pub interval: Duration,
    /// Time it has to answer. It gives etcd 2 s itself, so that less would be no answer at all.
    pub timeout: Duration,
}

impl BalancerConfig {
    /// The addresses of the manual, 127.0.0.1:7443 and 127.0.0.1:7080.
    pub fn new(backends: Backends) -> Self {
        let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            listen: here(7443),
            health: here(7080),
            backends,
            local: None,
            connections: 4096,
            probe: Probe::default(),
            drain_time: Duration::from_secs(2),
        }
    }
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            retry: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            readiness: Some(Readiness { interval: Duration::from_secs(2), timeout: Duration::from_secs(3) }),
        }
    }
}

/// Where the addresses of the API servers come from.
#[derive(Debug, Clone)]
pub enum Backends {
    /// From the arguments.
    Fixed(Vec<SocketAddr>),
    /// From a file, see [`parse_backends`]. It is read again while the balancer runs.
    File(PathBuf),
}

/// Why there are no backends.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The file cannot be read.
    #[error("could not read the file of API servers `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line is no address.
    #[error("line {line} of the API servers is not an `ADDRESS:PORT`: `{text}`")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What stands there, shortened.
        text: String,
    },
    /// There is none at all.
    #[error("there is no API server to balance")]
    Empty,
    /// There are too many.
    #[error("there are more than {MAX_BACKENDS} API servers")]
    TooMany,
}

impl Backends {
    /// The addresses, in order and without repetition.
    pub(super) fn read(&self) -> Result<Vec<SocketAddr>, BackendError> {
        match self {
            Self::Fixed(addresses) if addresses.is_empty() => Err(BackendError::Empty),
            Self::Fixed(addresses) => Ok(addresses.clone()),
            Self::File(path) => {
                let mut text = String::new();
                std::fs::File::open(path)
                    .and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
                    .map_err(|source| BackendError::Read { path: path.clone(), source })?;
                parse_backends(&text)
            }
        }
    }
}

/// Reads a list of backends: one `ADDRESS:PORT` a line (IPv6 in brackets); `#` begins a comment.
pub fn parse_backends(text: &str) -> Result<Vec<SocketAddr>, BackendError> {
    let mut addresses = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let address =
            line.parse().ok().filter(|address: &SocketAddr| address.port() != 0).ok_or_else(|| {
                BackendError::Line { line: number + 1, text: line.chars().take(80).collect() }
            })?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
        if addresses.len() > MAX_BACKENDS {
            return Err(BackendError::TooMany);
        }
    }
    if addresses.is_empty() { Err(BackendError::Empty) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_comments_empty_lines_and_both_families() {
        let list = "# API servers\n10.0.0.1:6443\n\n  [fd00::1]:6443 # second\n10.0.0.1:6443\n";
        let expected: Vec<SocketAddr> =
            vec!["10.0.0.1:6443".parse().unwrap(), "[fd00::1]:6443".parse().unwrap()];
        assert_eq!(parse_backends(list).unwrap(), expected);
    }

    #[test]
    fn a_bad_line_is_named() {
        for line in ["10.0.0.1", "api:6443", "10.0.0.1:0", "10.0.0.1:66443", "\u{0}"] {
            let err = parse_backends(&format!("10.0.0.1:6443\n{line}\n")).unwrap_err();
            assert!(matches!(err, BackendError::Line { line: 2, .. }), "{line}: {err}");
        }
    }

    #[test]
    fn an_empty_list_and_an_endless_one_are_refused() {
        assert!(matches!(parse_backends("# nothing\n"), Err(BackendError::Empty)));
        let endless: String = (1..=300).map(|port| format!("10.0.0.1:{port}\n")).collect();
        assert!(matches!(parse_backends(&endless), Err(BackendError::TooMany)));
    }
}
