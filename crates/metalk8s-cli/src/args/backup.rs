//! `metalk8s backup`.

use std::path::PathBuf;

use clap::Args;

use super::Telling;

const EXAMPLES: &str = "\
Examples:
  metalk8s backup                                        # a new one in /var/lib/metalk8s
  metalk8s backup --backup-file /mnt/nfs/today.tar.gz    # somewhere else
  metalk8s backup --output json | jq -r .file            # where it is";

/// Put the configuration, the authorities and all that etcd holds into one file, on the Bootstrap node
///
/// The end of each bootstrap does the same, where the newest backup has another configuration or other keys. The file
/// has the keys of the cluster: it is readable by root alone, and belongs on another machine, too. Nothing is written
/// over, and no backup is ever removed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Backup {
    /// The backup; without it, backup_YYYYmmdd_HHMMSS.tar.gz with the time in UTC, in /var/lib/metalk8s
    #[arg(short, long, value_name = "FILE")]
    pub backup_file: Option<PathBuf>,
    /// How it is told what happens.
    #[command(flatten)]
    pub telling: Telling,
    /// Where everything is written down
    #[arg(short, long, value_name = "FILE", default_value = "/var/log/metalk8s/backup.log")]
    pub log_file: PathBuf,
}
