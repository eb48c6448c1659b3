//! Where a machine is reached, and as whom.

use std::{fmt, path::PathBuf, time::Duration};

/// A machine, and how one gets into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address.
    pub host: String,
    /// Port of its SSH server.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// File with the private key, without a passphrase.
    pub key: PathBuf,
    /// Whether commands are run through `sudo`. Without effect for root, who may not even have it.
    pub sudo: bool,
}

impl Endpoint {
    /// A machine that is entered as root on port 22.
    pub fn new(host: impl Into<String>, key: impl Into<PathBuf>) -> Self {
        Self { host: host.into(), port: 22, user: "root".to_owned(), key: key.into(), sudo: false }
    }

    pub(crate) fn needs_sudo(&self) -> bool {
        self.sudo && self.user != "root"
    }

    /// `host:port`, for messages.
    pub(crate) fn place(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.place())
    }
}

/// How long to be patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How long connecting may take, from the look-up of the name to the login.
    pub connect_timeout: Duration,
    /// How long a machine may be silent before it is asked whether it is there. One that does not answer for
    /// three times as long is given up.
    pub keepalive: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(30), keepalive: Duration::from_secs(10) }
    }
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn an_address_of_ipv6_is_shown_in_brackets() {
        assert_eq!(Endpoint::new("fd00::1", "/key").to_string(), "root@[fd00::1]:22");
        assert_eq!(Endpoint::new("node-1", "/key").to_string(), "root@node-1:22");
    }

    #[test]
    fn root_needs_no_sudo() {
        let mut endpoint = Endpoint::new("node-1", "/key");
        endpoint.sudo = true;
        assert!(!endpoint.needs_sudo());
        endpoint.user = "admin".to_owned();
        assert!(endpoint.needs_sudo());
    }
}
