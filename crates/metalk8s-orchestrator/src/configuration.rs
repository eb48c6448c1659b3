//! The BootstrapConfiguration on the disk.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use metalk8s_diagnostics::{Code, Diagnose, Hint, Problems, code_of_io, explain};
use metalk8s_types::{BootstrapConfiguration, bootstrap_config::MAX_BYTES};

use crate::precheck::configuration_problems;

/// A configuration with the text it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigurationFile {
    /// The file.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What it says.
    pub configuration: BootstrapConfiguration,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// It cannot be read at all.
    #[error("could not read the configuration `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It has mistakes.
    #[error("{0}")]
    Mistakes(#[source] Problems),
}

impl Diagnose for ConfigurationError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some(explain::CONFIG_MISSING)
            }
            Self::Read { source, .. } => Some(code_of_io(source)),
            // Each mistake has its own.
            Self::Mistakes(_) => None,
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Read { path, source } if source.kind() == io::ErrorKind::NotFound => {
                vec![Hint(format!("write `{}`; the archive has an example below examples/", path.display()))]
            }
            Self::Read { .. } | Self::Mistakes(_) => Vec::new(),
        }
    }
}

impl ConfigurationFile {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or has mistakes: all of them.
    pub fn read(path: &Path) -> Result<Self, ConfigurationError> {
        let bytes = read_bounded(path)
            .map_err(|source| ConfigurationError::Read { path: path.to_owned(), source })?;
        let configuration = BootstrapConfiguration::parse(&bytes)
            .map_err(|mistakes| ConfigurationError::Mistakes(configuration_problems(path, mistakes)))?;
        Ok(Self { path: path.to_owned(), bytes, configuration })
    }
}

/// One byte more than is accepted, so that whoever reads it sees that it is too large.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
