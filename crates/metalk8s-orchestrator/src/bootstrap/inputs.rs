//! Everything that is read before anything is decided.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use metalk8s_artifacts::{
    Archive, Source,
    archive::{ReadArchiveError, read_archive},
    source::SourceError,
};
use metalk8s_diagnostics::{Code, Diagnose, Hint, Problems, Progress, explain, sentence};
use metalk8s_engine::{Graph, State, state::Backup};
use metalk8s_formulas::{API_SERVERS_LIST, FormulaError, Stage, UpstreamManifests, bootstrap};
use metalk8s_kube::{Fleet, fleet::FleetError};
use metalk8s_types::{
    BootstrapConfiguration, Grains, VERSION,
    bootstrap_config::GivenSettings,
    paths,
    pillar::{ClusterPillar, Pillar},
};
use tokio::time::{Instant, sleep};

use super::{Bootstrap, BootstrapOptions, RUN};
use crate::{
    api_servers,
    configuration::{ConfigurationError, ConfigurationFile},
    pillar::{BOOTSTRAP_ROLES, PillarError, bootstrap_pillar},
    precheck::{Observed, Severity, precheck, refuse},
    run_journal::was_begun,
    verified::{NOTE, VerifyError, verify_once},
};

/// How long API servers of several masters have to tell who is there: each has the time of a call.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
/// How soon the next one is asked.
const AGAIN: Duration = Duration::from_millis(500);
/// The largest manifest of an upstream program that is read, in bytes.
const MANIFEST_LIMIT: u64 = 8 << 20;

/// Why a bootstrap cannot be decided. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// The machine is not as it must be.
    #[error("{0}")]
    Machine(#[source] Problems),
    /// The archive is not as it was signed.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The archive is of another version than this program.
    #[error("the archive `{path}` is version {found}, this program is version {VERSION}")]
    Version {
        /// The archive.
        path: PathBuf,
        /// Its version.
        found: String,
    },
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
    /// The machine has been one of several masters, and none tells who is there.
    #[error("no API server of {} tells which nodes there are", listing(.servers))]
    Unanswered {
        /// Those that its balancer knows.
        servers: Vec<SocketAddr>,
        /// Why the last one that was asked did not.
        #[source]
        source: FleetError,
    },
}

fn listing(servers: &[SocketAddr]) -> String {
    servers.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ")
}

impl Diagnose for PrepareError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Configuration(err) => err.code(),
            Self::Archive(_) | Self::Manifests { .. } | Self::ManifestsYaml { .. } => {
                Some(explain::ARCHIVE_UNREADABLE)
            }
            Self::Pillar(err) => err.code(),
            Self::Formula(_) => Some(explain::ARCHIVE_INCOMPLETE),
            Self::Verify(err) => err.code(),
            Self::Version { .. } => Some(explain::ARCHIVE_WRONG_VERSION),
            Self::Unanswered { .. } => Some(explain::NODES_UNKNOWN),
            // Each problem has its own.
            Self::Machine(_) => None,
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Configuration(err) => err.hints(),
            Self::Verify(err) => err.hints(),
            Self::Unanswered { .. } => vec![Hint(format!(
                "start another master and begin again; where none can answer before this one does, or they are gone \
                 for good, take their lines out of `{API_SERVERS_LIST}` first"
            ))],
            _ => Vec::new(),
        }
    }
}

/// Reads the configuration, checks the machine and the archive, and decides every stage. Changes nothing but
/// the note that the archive was verified, and in a dry run not even that.
///
/// # Errors
/// When something cannot be read, is not as it must be, or does not fit together.
pub async fn prepare(
    options: &BootstrapOptions,
    grains: &Grains,
    progress: &Progress,
) -> Result<Bootstrap, PrepareError> {
    let step = progress.step("Reading the configuration");
    let configuration = ConfigurationFile::read(&options.config)?.configuration;
    step.done();

    let step = progress.step("Checking this machine");
    let already_begun = was_begun(Path::new(paths::RUNS), RUN);
    let observed = Observed::collect(&configuration, VERSION, BOOTSTRAP_ROLES.into(), already_begun).await;
    let findings = precheck(grains, &configuration, &observed);
    refuse(&findings).map_err(PrepareError::Machine)?;
    step.done();
    for finding in findings.iter().filter(|finding| finding.severity == Severity::Warning) {
        progress.say(&format!("warning: {} ({})", finding.message, finding.code));
    }

    let known = known_settings(progress).await?;
    let step = progress.step("Verifying the archive");
    let (archive, pillar) = describe(options, &configuration, grains, known.as_ref())?;
    let archives = &pillar.archives;
    // The image file is read several times faster than the files of the mounted tree, and is what stays.
    let mounted = archives.iter().find(|mount| mount.mountpoint == options.archive && mount.is_image);
    let source = mounted.map_or(&options.archive, |mount| &mount.archive);
    tokio::task::block_in_place(|| verify_once(source, Path::new(NOTE), !options.dry_run, &step))?;
    step.done();
    // Nothing of the archive but its signed manifest is read before this.
    let mut bootstrap = decide_from(&archive, pillar, grains)?;
    bootstrap.stages.push(backup());
    Ok(bootstrap)
}

/// A backup of what the stages before have made (BOOT-25). No part of what a Bootstrap node shall be: drift does not
/// tell of it.
fn backup() -> Stage {
    let mut graph = Graph::default();
    graph.add(
        "backup",
        State::Backup(Backup { folder: paths::STATE_DIR.into(), version: VERSION.to_owned() }),
    );
    Stage { title: "Making a backup", name: "backup", graph }
}

/// Decides every stage again on a machine that is a Bootstrap node: neither it nor the archive is checked.
/// `known` is what the API tells of the other nodes, and what was `given` stands in the place of what would be read.
///
/// # Errors
/// When something cannot be read or does not fit together.
pub fn decide(
    options: &BootstrapOptions,
    grains: &Grains,
    known: Option<&ClusterPillar>,
    given: &GivenSettings,
) -> Result<Bootstrap, PrepareError> {
    let mut configuration = ConfigurationFile::read(&options.config)?.configuration;
    given.change_configuration(&mut configuration);
    let (archive, mut pillar) = describe(options, &configuration, grains, known)?;
    given.change_pillar(&mut pillar);
    decide_from(&archive, pillar, grains)
}

/// What the API of a cluster that runs already knows of the other nodes. A node that has been one of several masters
/// must not forget them because its own API server does not answer, as after its address has changed.
async fn known_settings(progress: &Progress) -> Result<Option<ClusterPillar>, PrepareError> {
    if !Path::new(paths::ADMIN_KUBECONFIG).exists() {
        return Ok(None);
    }
    let servers = api_servers::listed().unwrap_or_default();
    let fleet = Fleet::lazy_or_at(paths::ADMIN_KUBECONFIG, &servers);
    if servers.len() < 2 {
        return Ok(fleet.settings().await.unwrap_or_else(|error| {
            tracing::info!(error = sentence(&error), "the API cannot be asked for other nodes");
            None
        }));
    }
    let step = progress.step("Asking the API servers which nodes there are");
    let end = Instant::now() + ANSWERS_WITHIN;
    loop {
        match fleet.settings().await {
            Ok(known) => {
                step.done();
                return Ok(known);
            }
            Err(source) if Instant::now() >= end => return Err(PrepareError::Unanswered { servers, source }),
            Err(error) => {
                tracing::info!(error = sentence(&error), "an API server does not tell which nodes there are");
                sleep(AGAIN).await;
            }
        }
    }
}

fn describe(
    options: &BootstrapOptions,
    configuration: &BootstrapConfiguration,
    grains: &Grains,
    known: Option<&ClusterPillar>,
) -> Result<(Archive, Pillar), PrepareError> {
    let archive = read_archive(&options.archive).map_err(PrepareError::Archive)?;
    if archive.product.version != VERSION {
        return Err(PrepareError::Version { path: options.archive.clone(), found: archive.product.version });
    }
    let pillar = bootstrap_pillar(configuration, grains, &archive, &options.archive, known)?;
    Ok((archive, pillar))
}

fn decide_from(archive: &Archive, pillar: Pillar, grains: &Grains) -> Result<Bootstrap, PrepareError> {
    let upstream = upstream_manifests(archive)?;
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
