//! Everything that is read before anything is decided.

use std::{fs, io, path::PathBuf};

use metalk8s_artifacts::{
    Archive, Source,
    archive::{ReadArchiveError, read_archive},
    source::SourceError,
};
use metalk8s_diagnostics::{Code, Diagnose, Hint, Problems, explain};
use metalk8s_formulas::{FormulaError, UpstreamManifests, bootstrap};
use metalk8s_types::Grains;

use super::{Bootstrap, BootstrapOptions};
use crate::pillar::{PillarError, bootstrap_pillar};

/// The largest manifest of an upstream program that is read, in bytes.
const MANIFEST_LIMIT: u64 = 8 << 20;

/// Why a bootstrap cannot be decided. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The configuration cannot be read at all.
    #[error("could not read the configuration `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The configuration has mistakes.
    #[error(transparent)]
    Config(Problems),
    /// The archive cannot be read.
    #[error("the archive of this version cannot be used")]
    Archive(#[source] ReadArchiveError),
    /// The manifests inside the archive cannot be read.
    #[error("the archive's `{path}` cannot be used")]
    Manifests {
        /// Inside the archive.
        path: String,
        /// Why.
        #[source]
        source: SourceError,
    },
    /// The manifests inside the archive are no YAML.
    #[error("the archive's `{path}` is no YAML: {message}")]
    ManifestsYaml {
        /// Inside the archive.
        path: String,
        /// Why.
        message: String,
    },
    /// Settings do not fit the machine.
    #[error(transparent)]
    Pillar(#[from] PillarError),
    /// The archive lacks something.
    #[error(transparent)]
    Formula(#[from] FormulaError),
}

impl Diagnose for PrepareError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some(explain::CONFIG_MISSING)
            }
            Self::Archive(_) | Self::Manifests { .. } | Self::ManifestsYaml { .. } => {
                Some(explain::ARCHIVE_UNREADABLE)
            }
            Self::Pillar(PillarError::Addresses { found: 0, .. }) => Some(explain::NO_ADDRESS),
            Self::Pillar(PillarError::Addresses { .. }) => Some(explain::SEVERAL_ADDRESSES),
            Self::Pillar(PillarError::Archive { .. }) => Some(explain::ARCHIVE_UNREADABLE),
            Self::Formula(FormulaError::Missing { .. }) => Some(explain::ARCHIVE_INCOMPLETE),
            Self::Read { .. } | Self::Config(_) | Self::Formula(_) => None,
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Read { path, source } if source.kind() == io::ErrorKind::NotFound => {
                vec![Hint(format!("write `{}`; the archive has an example below examples/", path.display()))]
            }
            _ => Vec::new(),
        }
    }
}

/// Reads configuration and archive, and decides every stage. Changes nothing.
///
/// # Errors
/// When something cannot be read, or does not fit together.
pub fn prepare(options: &BootstrapOptions, grains: &Grains) -> Result<Bootstrap, PrepareError> {
    let text = fs::read(&options.config)
        .map_err(|source| PrepareError::Read { path: options.config.clone(), source })?;
    let settings = crate::settings::parse(&options.config, &text).map_err(PrepareError::Config)?;
    let archive = read_archive(&options.archive).map_err(PrepareError::Archive)?;
    let upstream = upstream_manifests(&archive)?;
    let pillar = bootstrap_pillar(settings, grains, &archive, &options.archive)?;
    let stages = bootstrap(grains, &pillar, &upstream)?;
    Ok(Bootstrap { pillar, stages })
}

/// Manifests that the archive takes from upstream programs: `addons/<name>/crds/*.yaml`.
fn upstream_manifests(archive: &Archive) -> Result<UpstreamManifests, PrepareError> {
    let failed = |path: &str| {
        let path = path.to_owned();
        move |source| PrepareError::Manifests { path, source }
    };
    let source = Source::open(&archive.path).map_err(failed("addons"))?;
    let mut manifests = UpstreamManifests::new();
    for path in archive.manifest.files.keys() {
        let mut parts = path.split('/');
        let (Some("addons"), Some(addon), Some("crds"), Some(_)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let bytes = source.read(path, MANIFEST_LIMIT).map_err(failed(path))?;
        let bad = |message: String| PrepareError::ManifestsYaml { path: path.clone(), message };
        let text = std::str::from_utf8(&bytes).map_err(|err| bad(err.to_string()))?;
        let objects: Vec<serde_json::Value> =
            serde_saphyr::from_multiple(text).map_err(|err| bad(err.to_string()))?;
        manifests.entry(addon.to_owned()).or_default().extend(objects);
    }
    Ok(manifests)
}
