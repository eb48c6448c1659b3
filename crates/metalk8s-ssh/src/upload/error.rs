use std::{error::Error as StdError, io, path::PathBuf};

use metalk8s_diagnostics::{Code, Diagnose, Hint, code_of_io, explain};

use crate::RunError;

/// Why a machine does not have a file.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// No file can have that path.
    #[error("`{path}` is no absolute path of a file")]
    BadPath {
        /// The path on the machine.
        path: String,
    },
    /// The file here cannot be read.
    #[error("could not read `{path}`, which is to be uploaded")]
    Source {
        /// The file here.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file here is not the one that was meant.
    #[error("`{path}` is not the file to upload: its digest is {found}, not {expected}")]
    OtherSource {
        /// The file here.
        path: PathBuf,
        /// The digest that was given.
        expected: String,
        /// Its own.
        found: String,
    },
    /// The commands that write the file did not come to their end.
    #[error("could not put `{path}` on {machine}")]
    Run {
        /// User and machine.
        machine: String,
        /// The path there.
        path: String,
        /// Why.
        #[source]
        source: RunError,
    },
    /// There is no room for it.
    #[error("no space is left on {machine} for `{path}`")]
    DiskFull {
        /// User and machine.
        machine: String,
        /// The path there.
        path: String,
    },
    /// A folder is in its place.
    #[error("`{path}` on {machine} is a folder")]
    IsFolder {
        /// User and machine.
        machine: String,
        /// The path there.
        path: String,
    },
    /// What arrived is not what was sent. It was removed.
    #[error("`{path}` arrived damaged on {machine}: its digest is {found}, not {expected}")]
    Damaged {
        /// User and machine.
        machine: String,
        /// The path there.
        path: String,
        /// The digest of what was sent.
        expected: String,
        /// That of what arrived.
        found: String,
    },
    /// The machine does not take the file.
    #[error("{machine} does not let `{path}` be written")]
    Refused {
        /// User and machine.
        machine: String,
        /// The path there.
        path: String,
        /// What it says.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl UploadError {
    /// Whether trying again, over a new connection, can help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Run { source, .. } => source.is_retryable(),
            Self::Damaged { .. } => true,
            Self::BadPath { .. }
            | Self::Source { .. }
            | Self::OtherSource { .. }
            | Self::DiskFull { .. }
            | Self::IsFolder { .. }
            | Self::Refused { .. } => false,
        }
    }
}

impl Diagnose for UploadError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Run { source, .. } => source.code(),
            Self::DiskFull { .. } => Some(explain::DISK_FULL),
            Self::IsFolder { .. } | Self::Damaged { .. } | Self::Refused { .. } => {
                Some(explain::UPLOAD_FAILED)
            }
            Self::BadPath { .. } => Some(explain::WRONG_USAGE),
            Self::Source { source, .. } => Some(code_of_io(source)),
            Self::OtherSource { .. } => Some(explain::ARCHIVE_DAMAGED),
        }
    }

    fn hints(&self) -> Vec<Hint> {
        let hint = match self {
            Self::Run { source, .. } => return source.hints(),
            Self::BadPath { .. } | Self::Source { .. } => return Vec::new(),
            Self::OtherSource { path, .. } => {
                format!(
                    "restore `{}`; `metalk8s archive verify` checks what an archive holds",
                    path.display()
                )
            }
            Self::DiskFull { path, .. } => format!("free space on the machine: `df -h {path}`"),
            Self::IsFolder { path, .. } => format!("move it away on the machine: `mv {path} {path}.old`"),
            Self::Damaged { .. } => "look at disk and memory of the machine: `dmesg -T`".to_owned(),
            Self::Refused { path, .. } => {
                format!("look at the folder's rights and mount on the machine: `findmnt -T {path}`")
            }
        };
        vec![Hint(hint)]
    }
}
