use std::{io, net::SocketAddr};

use metalk8s_diagnostics::{Code, Diagnose, Hint, code_of_io, explain};

use crate::TlsError;

/// Why a server could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or not one of this machine.
    #[error("could not listen on `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error("could not set up TLS for `{address}`")]
    Tls {
        /// The address it is for.
        address: SocketAddr,
        /// Why.
        #[source]
        source: TlsError,
    },
}

impl Diagnose for ServeError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrNotAvailable => {
                Some(explain::NO_ADDRESS)
            }
            Self::Listen { source, .. } => Some(code_of_io(source)),
            Self::Tls { source, .. } => source.code(),
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Listen { address, source } => match source.kind() {
                io::ErrorKind::AddrInUse => {
                    vec![format!("`ss -ltnp 'sport = :{}'` shows who has the port", address.port()).into()]
                }
                io::ErrorKind::AddrNotAvailable => {
                    vec![
                        format!("`ip address` shows whether {} is an address of this machine", address.ip())
                            .into(),
                    ]
                }
                _ => Vec::new(),
            },
            Self::Tls { .. } => Vec::new(),
        }
    }
}
