//! `metalk8s authority`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use metalk8s_diagnostics::Output;
use metalk8s_types::paths;

const EXAMPLES: &str = "\
Examples:
  metalk8s authority list
  metalk8s authority protect                    # a password on the keys, which stay here
  metalk8s authority protect --to /media/safe   # the keys leave this machine
  metalk8s authority renew --from /media/safe   # those that are due, with the roots' keys

A key with a password is PKCS #8 in PEM: `openssl pkey -in kubernetes.key` opens it too.";

/// Protect the keys of the roots, take them away, and renew what signs in their place
///
/// Each realm has a root that everybody trusts, for ten years, and an issuing authority that signs certificates in its
/// place. Only their renewal needs the key of the root: the node does it by itself while that key is on it, and
/// `metalk8s authority renew` where it was protected or taken away.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Authority {
    /// What to do.
    #[command(subcommand)]
    pub command: AuthorityCommand,
}

/// What can be done with authorities.
#[derive(Debug, Subcommand)]
pub enum AuthorityCommand {
    /// List roots and issuing authorities: when they end, and where each root's key is
    List {
        /// Form of the list on stdout
        #[arg(short, long, visible_alias = "format", value_name = "text|json|yaml", default_value = "text")]
        output: Output,
    },
    /// Put a password on the keys of the roots; with --to, take them away from this machine
    ///
    /// Each key is written and read back before the open one is removed. Whoever loses the password, or the folder,
    /// cannot renew the authorities.
    Protect {
        /// A folder that the protected keys are moved to, such as one of a medium that is locked away
        #[arg(long, value_name = "FOLDER")]
        to: Option<PathBuf>,
        /// What is given.
        #[command(flatten)]
        keys: Keys,
    },
    /// Bring the keys of the roots back to this machine, without a password
    Unprotect {
        /// The folder with the protected keys; without it they are on this machine
        #[arg(long, value_name = "FOLDER")]
        from: Option<PathBuf>,
        /// What is given.
        #[command(flatten)]
        keys: Keys,
    },
    /// Renew the roots and issuing authorities that are due
    ///
    /// A root keeps its key; an issuing authority has a new one. What was signed before stays good until it ends.
    Renew {
        /// The folder with the protected keys; without it they are on this machine
        #[arg(long, value_name = "FOLDER")]
        from: Option<PathBuf>,
        /// All issuing authorities, also those that are not due
        #[arg(long)]
        all: bool,
        /// The BootstrapConfiguration, which says how long certificates live
        #[arg(long, value_name = "FILE", default_value = paths::BOOTSTRAP_CONFIG)]
        config: PathBuf,
        /// What is given.
        #[command(flatten)]
        keys: Keys,
    },
}

/// What everything that uses a root's key is given.
#[derive(Debug, Args)]
pub struct Keys {
    /// A file whose first line is the password, `-` for stdin; without it, it is asked for
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Show what would be done, and change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}
