//! The settings that all nodes share, made from what people wrote, from archives, and from who is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use metalk8s_artifacts::{
    Source,
    archive::{ReadArchiveError, read_archive},
    source::SourceError,
};
use metalk8s_diagnostics::{Code, Diagnose, explain, sentence};
use metalk8s_formulas::public_authorities;
use metalk8s_kube::Fleet;
use metalk8s_saltcompat::{PillarNode, add_fleet, pillar_tree};
use metalk8s_types::{
    Role,
    fleet::Agent,
    pillar::{ClusterPillar, ImageFacts, VersionFacts},
};
use tokio::time::sleep;

use super::{ConductorConfig, hands::AWAY};
use crate::{
    archives::installed,
    configuration::{ConfigurationError, ConfigurationFile},
    dispatch::{Call, dispatch},
};

/// How often it is looked whether they are still what they should be.
const LOOK: Duration = Duration::from_secs(30);
/// How soon they are tried again: new nodes wait for them.
const AGAIN: Duration = Duration::from_secs(2);
/// The largest key that is read, in bytes.
const KEY_LIMIT: u64 = 64 << 10;
/// Inside an archive: the key that signs its packages, and the program of its version.
const PACKAGES_KEY: &str = "keys/packages.asc";
const PROGRAM: &str = "bin/metalk8s";

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The BootstrapConfiguration.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// An archive.
    #[error("the archive `{path}` cannot be used")]
    Archive {
        /// Where it is mounted.
        path: PathBuf,
        /// Why.
        #[source]
        source: ReadArchiveError,
    },
    /// Something inside an archive.
    #[error("the archive `{path}` has no `{file}` that can be used")]
    Inside {
        /// Where it is mounted.
        path: PathBuf,
        /// Inside it.
        file: &'static str,
        /// Why.
        #[source]
        source: Option<SourceError>,
    },
    /// An authority.
    #[error("the certificate `{path}` of an authority cannot be read")]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Diagnose for SettingsError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Configuration(error) => error.code(),
            Self::Archive { .. } => Some(explain::ARCHIVE_UNREADABLE),
            Self::Inside { .. } => Some(explain::ARCHIVE_INCOMPLETE),
            Self::Authority { .. } => Some(explain::KEY_UNREADABLE),
        }
    }
}

/// Keeps the settings of the API as they should be.
pub(super) async fn keep(fleet: &Fleet, config: &ConductorConfig) {
    let mut told = None;
    loop {
        let done = async {
            let agents = fleet.agents().await.map_err(|error| sentence(&error))?;
            let wished = tokio::task::block_in_place(|| {
                cluster_pillar(&config.configuration, &config.archives, &agents)
            });
            let wished = wished.map_err(|error| sentence(&error))?;
            let former = fleet.settings().await.ok().flatten();
            if former.as_ref() != Some(&wished) {
                fleet.write_settings(&wished).await.map_err(|error| sentence(&error))?;
                tracing::info!(versions = ?wished.versions.keys(), "the settings of the cluster were written");
                let masters = to_be_told(former.as_ref(), &wished);
                if !masters.is_empty() {
                    // Nobody waits for it: an agent that is away finds the job when it is there again.
                    let renewed = ["metalk8s.certificates.renewed", "queue=True"];
                    let call = Call::new("state.apply", renewed, Duration::from_secs(600));
                    dispatch(fleet, &masters, &Call { begin_within: AWAY, ..call }).await;
                    tracing::info!(?masters, "masters make what certificates have to do with anew");
                }
            }
            Ok::<_, String>(())
        };
        let error = done.await.err();
        if let Some(error) = error.as_ref().filter(|_| error != told) {
            tracing::warn!(error, "the settings of the cluster cannot be written, trying again");
        }
        sleep(if error.is_some() { AGAIN } else { LOOK }).await;
        told = error;
    }
}

/// Masters, where they know clients by authorities that have changed, or are called by other names. Pure.
fn to_be_told(former: Option<&ClusterPillar>, wished: &ClusterPillar) -> BTreeSet<String> {
    match former {
        Some(former)
            if former.authorities != wished.authorities
                || former.api_server_names != wished.api_server_names =>
        {
            wished.masters.keys().cloned().collect()
        }
        _ => BTreeSet::new(),
    }
}

/// The settings as they should be now, with these agents.
///
/// # Errors
/// When the configuration, an archive or an authority cannot be read.
pub fn cluster_pillar(
    configuration: &Path,
    archives: &Path,
    agents: &[Agent],
) -> Result<ClusterPillar, SettingsError> {
    let configuration = ConfigurationFile::read(configuration)?.configuration;
    let mut tree = pillar_tree(&configuration);
    let nodes: Vec<PillarNode> = agents.iter().filter_map(pillar_node).collect();
    add_fleet(&mut tree, &nodes, &configuration.ca_minion);
    let mut versions = BTreeMap::new();
    for environment in installed(archives) {
        let (version, facts) = version(&archives.join(environment))?;
        versions.insert(version, facts);
    }
    let certificates = public_authorities().into_iter().map(|(name, path)| match fs::read_to_string(&path) {
        Ok(text) => Ok((name.to_owned(), text)),
        Err(source) => Err(SettingsError::Authority { path, source }),
    });
    let with = |role: Role| {
        agents
            .iter()
            .filter(|agent| agent.spec.roles.contains(&role))
            .filter_map(|agent| Some((agent.metadata.name.clone()?, agent.spec.addresses.control_plane)))
            .collect()
    };
    Ok(ClusterPillar {
        networks: configuration.networks,
        proxies: configuration.proxies,
        certificates: configuration.certificates,
        api_server_names: configuration.api_server_names,
        ca_node: configuration.ca_minion,
        versions,
        masters: with(Role::Master),
        etcd: with(Role::Etcd),
        repositories: with(Role::Bootstrap),
        authorities: certificates.collect::<Result<_, _>>()?,
        tree,
    })
}

fn pillar_node(agent: &Agent) -> Option<PillarNode> {
    Some(PillarNode {
        name: agent.metadata.name.clone()?,
        version: agent.spec.version.clone(),
        roles: agent.spec.roles.clone(),
        address: agent.spec.addresses.control_plane,
    })
}

fn version(path: &Path) -> Result<(String, VersionFacts), SettingsError> {
    let failed = |source| SettingsError::Archive { path: path.to_owned(), source };
    let inside = |file| move |source| SettingsError::Inside { path: path.to_owned(), file, source };
    let archive = read_archive(path).map_err(failed)?;
    let source = Source::open(path).map_err(|err| inside(PACKAGES_KEY)(Some(err)))?;
    let key = source.read(PACKAGES_KEY, KEY_LIMIT).map_err(|err| inside(PACKAGES_KEY)(Some(err)))?;
    let manifest = archive.manifest;
    let program = manifest.files.get(PROGRAM).ok_or_else(|| inside(PROGRAM)(None))?;
    let images = manifest.images.iter().map(|(name, image)| {
        (name.clone(), ImageFacts { tag: image.tag.clone(), digest: image.digest.clone() })
    });
    let facts = VersionFacts {
        images: images.collect(),
        program: program.sha256.clone(),
        packages: manifest.packages,
        components: manifest.components,
        packages_key: String::from_utf8_lossy(&key).into_owned(),
    };
    Ok((archive.product.version, facts))
}
