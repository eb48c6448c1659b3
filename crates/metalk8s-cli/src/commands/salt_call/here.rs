//! The machine this program runs on.

use std::{
    collections::BTreeMap,
    error::Error,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use metalk8s_diagnostics::DiagnoseExt;
use metalk8s_engine::{Graph, Hands};
use metalk8s_host::Host;
use metalk8s_orchestrator::{
    ConfigurationError, ConfigurationFile, RunLock,
    archives::{self, ArchivesOptions},
    lock,
};
use metalk8s_saltcompat::{FileRoots, Formula, Minion, grains_tree, pillar_tree};
use metalk8s_types::{BootstrapConfiguration, paths};
use serde_json::{Value, json};

use super::roots::Folders;
use crate::commands::procedure::must_be_root;

type BoxError = Box<dyn Error + Send + Sync>;

/// This machine, with its file roots and its configuration.
pub(crate) struct Here {
    host: Host,
    roots: Folders,
    config: PathBuf,
    /// Held to the end of the program, once a formula is going to be applied.
    lock: Mutex<Option<RunLock>>,
}

impl Here {
    pub(crate) fn new(roots: Folders, config_dir: PathBuf) -> Self {
        let name = Path::new(paths::BOOTSTRAP_CONFIG).file_name().unwrap_or_default();
        Self { host: Host::new(), roots, config: config_dir.join(name), lock: Mutex::default() }
    }

    /// The BootstrapConfiguration; `None` on a machine that has none.
    fn configuration(&self) -> Result<Option<BootstrapConfiguration>, BoxError> {
        match ConfigurationFile::read(&self.config) {
            Ok(file) => Ok(Some(file.configuration)),
            Err(ConfigurationError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(err) => Err(err.into()),
        }
    }

    /// Formulas change what runs change: one at a time.
    fn take_lock(&self) -> Result<(), BoxError> {
        must_be_root()?;
        let taken = lock(Path::new(paths::RUN_LOCK), "salt-call").diagnose()?;
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
        Ok(())
    }
}

#[async_trait]
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

    async fn packages(&self) -> Result<BTreeMap<String, String>, BoxError> {
        Ok(self.host.packages().await?)
    }

    fn formula(&self, formula: Formula, test: bool) -> Result<Graph, BoxError> {
        if !test {
            self.take_lock()?;
        }
        match formula {
            Formula::ArchivesMounted => {
                Ok(archives::mounted(&ArchivesOptions::new(&self.config, Vec::new(), test)).diagnose()?)
            }
        }
    }

    fn environments(&self) -> Vec<String> {
        archives::installed(Path::new(paths::ARCHIVES))
    }
}
