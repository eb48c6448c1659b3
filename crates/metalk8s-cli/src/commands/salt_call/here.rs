//! The machine this program runs on.

use std::{
    error::Error,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use metalk8s_engine::Hands;
use metalk8s_host::Host;
use metalk8s_orchestrator::precheck::configuration_problems;
use metalk8s_saltcompat::{FileRoots, Minion, grains_tree, pillar_tree};
use metalk8s_types::{BootstrapConfiguration, bootstrap_config::MAX_BYTES, paths};
use serde_json::{Value, json};

use super::roots::Folders;

type BoxError = Box<dyn Error + Send + Sync>;

/// This machine, with its file roots and its configuration.
pub(crate) struct Here {
    host: Host,
    roots: Folders,
    config: PathBuf,
}

impl Here {
    pub(crate) fn new(roots: Folders, config_dir: PathBuf) -> Self {
        let name = Path::new(paths::BOOTSTRAP_CONFIG).file_name().unwrap_or_default();
        Self { host: Host::new(), roots, config: config_dir.join(name) }
    }

    /// The BootstrapConfiguration; `None` on a machine that has none.
    fn configuration(&self) -> Result<Option<BootstrapConfiguration>, BoxError> {
        let path = &self.config;
        let bytes = match read_bounded(path) {
            Ok(bytes) => bytes,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(err) => {
                let doing = format!("could not read `{}`", path.display());
                return Err(anyhow::Error::new(err).context(doing).into());
            }
        };
        match BootstrapConfiguration::parse(&bytes) {
            Ok(configuration) => Ok(Some(configuration)),
            Err(mistakes) => Err(configuration_problems(path, mistakes).into()),
        }
    }
}

impl Minion for Here {
    fn hands(&self) -> &dyn Hands {
        &self.host
    }

    fn roots(&self) -> &dyn FileRoots {
        &self.roots
    }

    fn grains(&self) -> Result<Value, BoxError> {
        let grains = self.host.collect_grains()?;
        // Most facts need no configuration: a mistake in it must not hide them.
        let configuration = self.configuration().unwrap_or_else(|err| {
            tracing::warn!(error = %err, "there is no grain `metalk8s`; `salt-call pillar.items` tells more");
            None
        });
        Ok(grains_tree(&grains, configuration.as_ref()))
    }

    fn pillar(&self) -> Result<Value, BoxError> {
        Ok(self.configuration()?.map_or_else(|| json!({}), |configuration| pillar_tree(&configuration)))
    }
}

/// One byte more than is accepted, so that whoever reads it sees that it is too large.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
