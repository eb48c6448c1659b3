//! Why archives are left as they are.

use std::{io, path::PathBuf};

use metalk8s_diagnostics::{Code, Diagnose, Hint, Problems, code_of_io, explain};

use crate::{configuration::ConfigurationError, verified::VerifyError};

/// Why nothing was done with archives.
#[derive(Debug, thiserror::Error)]
pub enum ArchivesError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Read(#[from] ConfigurationError),
    /// A path cannot be made absolute.
    #[error("the archive `{path}` does not exist")]
    Path {
        /// As it was given.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Archives that are not what they must be.
    #[error("{0}")]
    Unusable(#[source] Problems),
    /// An archive differs from what was signed.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The configuration cannot be looked at.
    #[error("could not look at the configuration `{path}`")]
    Configuration {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody else changed the configuration.
    #[error("the configuration `{path}` was changed while the archives were examined")]
    ChangedMeanwhile {
        /// The file.
        path: PathBuf,
    },
    /// The file is written in a way to which no program can add.
    #[error("could not add to `archives` in the configuration `{path}`")]
    Uneditable {
        /// The file.
        path: PathBuf,
        /// What was to be added.
        added: Vec<PathBuf>,
    },
}

impl Diagnose for ArchivesError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Read(err) => err.code(),
            Self::Path { .. } => Some(explain::ARCHIVE_MISSING),
            Self::Verify(err) => err.code(),
            Self::ChangedMeanwhile { .. } | Self::Uneditable { .. } => Some(explain::CONFIG_NOT_EDITED),
            Self::Configuration { source, .. } => Some(code_of_io(source)),
            // Each problem has its own.
            Self::Unusable(_) => None,
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Read(err) => err.hints(),
            Self::Verify(err) => err.hints(),
            Self::ChangedMeanwhile { .. } => vec!["nothing was changed; run the same command again".into()],
            Self::Uneditable { added, .. } => {
                let items: Vec<String> = added.iter().map(|path| format!("`- {}`", path.display())).collect();
                let hint = format!(
                    "write `archives` as a list with {}, then run it without -a",
                    items.join(" and ")
                );
                vec![Hint(hint)]
            }
            Self::Path { .. } | Self::Unusable(_) | Self::Configuration { .. } => Vec::new(),
        }
    }
}
