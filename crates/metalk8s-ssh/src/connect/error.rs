use std::{error::Error as StdError, io, path::PathBuf, time::Duration};

use metalk8s_diagnostics::{Code, Diagnose, Hint, explain};

/// Why there is no session with a machine.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The private key is not there.
    #[error("the private key `{path}` does not exist")]
    KeyMissing {
        /// Its file.
        path: PathBuf,
    },
    /// The private key cannot be read.
    #[error("could not read the private key `{path}`")]
    KeyUnreadable {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others than the owner may read or change the private key.
    #[error("the private key `{path}` is open to others than its owner (mode {mode:04o})")]
    KeyTooOpen {
        /// Its file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The private key needs a passphrase, and there is nobody to type it.
    #[error("the private key `{path}` is encrypted with a passphrase")]
    KeyEncrypted {
        /// Its file.
        path: PathBuf,
    },
    /// It is the half for the machines.
    #[error("`{path}` is a public key, not a private one")]
    KeyPublic {
        /// Its file.
        path: PathBuf,
    },
    /// It is no private key, or of a kind that is not known.
    #[error("`{path}` is no private key that SSH can use")]
    KeyUnknown {
        /// Its file.
        path: PathBuf,
    },
    /// No address belongs to the name.
    #[error("the name `{host}` of the machine does not resolve to an address")]
    NotResolved {
        /// The name.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The machine is there, and nobody listens.
    #[error("{place} refuses connections")]
    Refused {
        /// Host and port.
        place: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No way leads to the machine.
    #[error("{place} cannot be reached")]
    Unreachable {
        /// Host and port.
        place: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It took too long.
    #[error("{place} was not ready within {} s: waited for {awaited}", after.as_secs_f32())]
    TimedOut {
        /// Host and port.
        place: String,
        /// What was waited for.
        awaited: &'static str,
        /// How long all of it might take.
        after: Duration,
    },
    /// The connection ended before the login was done.
    #[error("{place} ended the connection before the login was done")]
    Closed {
        /// Host and port.
        place: String,
        /// Why, as far as it is known.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The machine shows another host key than before, or somebody else does.
    #[error("the host key of {place} has changed: expected {expected}, found {found}")]
    HostKeyChanged {
        /// Host and port.
        place: String,
        /// Fingerprint that was known.
        expected: String,
        /// Fingerprint that was shown.
        found: String,
    },
    /// The machine does not let this user in with this key.
    #[error("{place} does not let `{user}` in with the key `{key}`")]
    Denied {
        /// Host and port.
        place: String,
        /// Who wanted in.
        user: String,
        /// The private key's file.
        key: PathBuf,
        /// Whether the key was taken and something more is asked for, such as a password.
        wants_more: bool,
    },
    /// What answers is no SSH server, or one we have nothing in common with.
    #[error("could not agree with {place} on SSH")]
    Protocol {
        /// Host and port.
        place: String,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl ConnectError {
    /// Whether trying again can help: the machine may still be booting.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Closed { .. } => {
                true
            }
            Self::KeyMissing { .. }
            | Self::KeyUnreadable { .. }
            | Self::KeyTooOpen { .. }
            | Self::KeyEncrypted { .. }
            | Self::KeyPublic { .. }
            | Self::KeyUnknown { .. }
            | Self::NotResolved { .. }
            | Self::HostKeyChanged { .. }
            | Self::Denied { .. }
            | Self::Protocol { .. } => false,
        }
    }
}

impl Diagnose for ConnectError {
    fn code(&self) -> Option<Code> {
        Some(match self {
            Self::KeyMissing { .. }
            | Self::KeyUnreadable { .. }
            | Self::KeyTooOpen { .. }
            | Self::KeyEncrypted { .. }
            | Self::KeyPublic { .. }
            | Self::KeyUnknown { .. } => explain::SSH_KEY_UNUSABLE,
            Self::NotResolved { .. }
            | Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Closed { .. } => explain::SSH_UNREACHABLE,
            Self::HostKeyChanged { .. } => explain::SSH_HOST_KEY_CHANGED,
            Self::Denied { .. } => explain::SSH_DENIED,
            Self::Protocol { .. } => explain::SSH_PROTOCOL,
        })
    }

    fn hints(&self) -> Vec<Hint> {
        let hint = match self {
            Self::KeyMissing { path } => format!(
                "make one with `ssh-keygen -t rsa -b 4096 -N '' -f {}` and authorise it on the machine, \
                 or correct `ssh-key-path`",
                path.display()
            ),
            Self::KeyUnreadable { path, .. } => format!("look at it with `ls -l {}`", path.display()),
            Self::KeyTooOpen { path, .. } => format!("`chmod 0600 {}`", path.display()),
            Self::KeyEncrypted { path } => {
                format!(
                    "take the passphrase away with `ssh-keygen -p -N '' -f {}`, or use another key",
                    path.display()
                )
            }
            Self::KeyPublic { path } => {
                format!("name the private half, most often `{}`", path.with_extension("").display())
            }
            Self::KeyUnknown { path } => {
                format!("`ssh-keygen -y -f {}` shows whether it is a key at all", path.display())
            }
            Self::NotResolved { host, .. } => {
                format!("correct `ssh-host` of the Node, or see what `getent hosts {host}` says here")
            }
            Self::Refused { place, .. } => format!(
                "the machine may be booting; otherwise start its SSH server (`systemctl status sshd`), \
                 or correct the port in {place}"
            ),
            Self::Unreachable { .. } | Self::TimedOut { .. } => {
                "the machine may be off or booting; otherwise look at its address, routes and firewalls"
                    .to_owned()
            }
            Self::Closed { .. } => {
                "the machine may be booting; otherwise look at `journalctl -u ssh -u sshd` there".to_owned()
            }
            Self::HostKeyChanged { found, .. } => {
                return vec![
                    Hint(format!(
                        "compare {found} with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` (or the other \
                         keys there) on the machine's own console"
                    )),
                    Hint(
                        "if it was installed anew and the fingerprint is its own, forget the old one; if not, \
                         somebody else answers in its place"
                            .to_owned(),
                    ),
                ];
            }
            Self::Denied { user, wants_more: true, .. } => format!(
                "the machine takes the key and asks for more; let `{user}` in with the key alone \
                 (`AuthenticationMethods` in sshd_config)"
            ),
            Self::Denied { place, user, key, wants_more: false } => {
                return vec![
                    Hint(format!(
                        "add the line of `{}.pub` to `.ssh/authorized_keys` of `{user}` on the machine",
                        key.display()
                    )),
                    Hint(format!(
                        "`journalctl -u ssh -u sshd` on {place} tells why: a wrong mode of the home folder, or \
                         `PermitRootLogin no`"
                    )),
                ];
            }
            Self::Protocol { place, .. } => {
                format!("check that an SSH server of protocol 2 answers at {place}")
            }
        };
        vec![Hint(hint)]
    }
}
