//! Why there is no backup.

use std::{io, path::PathBuf};

use metalk8s_diagnostics::{Code, Diagnose, Hint, code_of_io, explain};

use crate::conductor::etcd::EtcdError;

/// Why a backup was not made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something cannot be read or written.
    #[error("could not take `{path}` into a backup, or write it")]
    File {
        /// It.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of that name is there.
    #[error("`{0}` is there already")]
    Exists(PathBuf),
    /// etcd does not give it.
    #[error("etcd did not give what it holds")]
    Etcd {
        /// Whether that may pass by itself.
        passes: bool,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What etcd gave has not the sum that it ends with.
    #[error("what etcd gave is damaged: it has not the sum that stands at its end")]
    Damaged,
}

impl From<EtcdError> for BackupError {
    fn from(error: EtcdError) -> Self {
        Self::Etcd { passes: error.passes(), source: Box::new(error) }
    }
}

impl Diagnose for BackupError {
    fn code(&self) -> Option<Code> {
        Some(match self {
            Self::File { source, .. } => code_of_io(source),
            Self::Exists(_) => explain::FILE_UNUSABLE,
            Self::Etcd { .. } | Self::Damaged => explain::BACKUP_FAILED,
        })
    }

    fn passes(&self) -> bool {
        matches!(self, Self::Etcd { passes: true, .. })
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Exists(_) => vec![Hint("give another name with `--backup-file`".to_owned())],
            _ => Vec::new(),
        }
    }
}
