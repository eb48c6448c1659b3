//! `metalk8s archive`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use metalk8s_diagnostics::Output;
use metalk8s_types::paths;

use super::Telling;

/// Add archives, and look into them
#[derive(Debug, Args)]
pub struct Archive {
    /// What to do.
    #[command(subcommand)]
    pub command: ArchiveCommand,
}

/// What can be done with archives.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each command is documented at the arguments it holds")]
pub enum ArchiveCommand {
    Add(ArchiveAdd),
    Verify(ArchiveVerify),
}

/// Make archives available on this machine: named in the configuration, mounted, served
///
/// Without --archive those of the configuration are seen to again: what is not mounted is mounted, and what was
/// replaced by another file of its name is mounted anew.
#[derive(Debug, Args)]
pub struct ArchiveAdd {
    /// An ISO file or a folder; can be given several times
    #[arg(short, long = "archive", value_name = "PATH")]
    pub archives: Vec<PathBuf>,
    /// The BootstrapConfiguration
    #[arg(long, value_name = "FILE", default_value = paths::BOOTSTRAP_CONFIG)]
    pub config: PathBuf,
    /// Show what would change, and change nothing
    #[arg(short, long)]
    pub dry_run: bool,
    /// With --dry-run: exit with 3 when something would change
    #[arg(long, requires = "dry_run")]
    pub exit_code: bool,
    /// How it is told what happens.
    #[command(flatten)]
    pub telling: Telling,
    /// Where everything is written down
    #[arg(short, long, value_name = "FILE", default_value = "/var/log/metalk8s/iso-manager.log")]
    pub log_file: PathBuf,
}

/// Compare every file of an archive with its signed manifest
#[derive(Debug, Args)]
pub struct ArchiveVerify {
    /// An ISO file, or the folder where one is mounted
    pub path: PathBuf,
    /// The public key that must have signed it; without one only damage is found, not a forgery
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Form of the result on stdout
    #[arg(short, long, value_name = "text|json|yaml", default_value = "text")]
    pub output: Output,
}
