use std::{error::Error as StdError, io, time::Duration};

use metalk8s_diagnostics::{Code, Diagnose, Hint, code_of_io, explain};

/// Why a command did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No program can be given such a word.
    #[error("`{command}` has an argument with a NUL in it")]
    BadWord {
        /// The command.
        command: String,
    },
    /// The machine starts no commands for us.
    #[error("{machine} refuses to run `{command}`")]
    Refused {
        /// User and machine.
        machine: String,
        /// The command.
        command: String,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// `sudo` is not installed.
    #[error("{machine} has no `sudo`")]
    SudoMissing {
        /// User and machine.
        machine: String,
    },
    /// `sudo` wants a password, or does not let this user be root at all.
    #[error("`sudo` on {machine} does not run commands without a password")]
    SudoRefused {
        /// User and machine.
        machine: String,
        /// What it says.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// It went on for too long.
    #[error("`{command}` on {machine} did not end within {} s", after.as_secs_f32())]
    TimedOut {
        /// User and machine.
        machine: String,
        /// The command.
        command: String,
        /// How long it might take.
        after: Duration,
    },
    /// The connection ended before the command did. It may go on over there.
    #[error("the connection to {machine} was lost while `{command}` ran")]
    Lost {
        /// User and machine.
        machine: String,
        /// The command.
        command: String,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// What the command was to read could not be read here.
    #[error("could not read the input of `{command}`")]
    Input {
        /// The command.
        command: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl RunError {
    /// Whether trying again, over a new connection, can help. What the command did before is not undone.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Lost { .. } | Self::TimedOut { .. } => true,
            Self::BadWord { .. }
            | Self::Refused { .. }
            | Self::SudoMissing { .. }
            | Self::SudoRefused { .. }
            | Self::Input { .. } => false,
        }
    }
}

impl Diagnose for RunError {
    fn code(&self) -> Option<Code> {
        Some(match self {
            Self::BadWord { .. } => explain::WRONG_USAGE,
            Self::Input { source, .. } => code_of_io(source),
            Self::Refused { .. } => explain::SSH_DENIED,
            Self::SudoMissing { .. } | Self::SudoRefused { .. } => explain::SUDO_REFUSED,
            Self::TimedOut { .. } | Self::Lost { .. } => explain::SSH_COMMAND_LOST,
        })
    }

    fn hints(&self) -> Vec<Hint> {
        let hint = match self {
            Self::BadWord { .. } | Self::Input { .. } => return Vec::new(),
            Self::Refused { .. } => {
                "remove `ForceCommand`, or the options before the key in `.ssh/authorized_keys`, on the machine"
            }
            Self::SudoMissing { .. } => {
                "install `sudo` on the machine, or log in as root and set `ssh-sudo` of the Node to 'false'"
            }
            Self::SudoRefused { .. } => {
                "give the user `ALL=(ALL) NOPASSWD: ALL` in a file of /etc/sudoers.d on the machine, \
                 and no `requiretty`"
            }
            Self::TimedOut { .. } => "see on the machine what it is still doing: `ps -ef --forest`",
            Self::Lost { .. } => "see whether the machine has booted anew: `uptime`, `journalctl -b -1 -e`",
        };
        vec![Hint(hint.to_owned())]
    }
}
