//! The settings that all nodes share, made from what people wrote, from archives, and from who is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use metalk8s_artifacts::{
    Source,
    archive::{ReadArchiveError, read_archive},
    source::SourceError,
};
use metalk8s_diagnostics::{Code, Diagnose, explain, sentence};
use metalk8s_formulas::{authorities, public_authorities};
use metalk8s_kube::{Fleet, fleet::FleetError};
use metalk8s_saltcompat::{PillarNode, add_fleet, pillar_tree};
use metalk8s_types::{
    Role,
    fleet::Agent,
    pillar::{ClusterPillar, ImageFacts, VersionFacts},
};
use tokio::time::sleep;

use super::{
    ConductorConfig,
    etcd::{Etcd, EtcdError, peer_url},
    hands::{AWAY, NEIGHBOURS},
};
use crate::{
    archives::installed,
    configuration::{ConfigurationError, ConfigurationFile},
    dispatch::{Call, leave},
};

/// How often it is looked whether they are still what they should be.
const LOOK: Duration = Duration::from_secs(30);
/// How soon they are tried again: new nodes wait for them.
const AGAIN: Duration = Duration::from_secs(2);
/// The largest key that is read, in bytes.
const KEY_LIMIT: u64 = 64 << 10;
/// The formula that makes the certificates of a node what they should be.
const RENEWED: &str = "metalk8s.certificates.renewed";
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

/// Why the settings of the API are not as they should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum RenewError {
    /// The API.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// What they are made of.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// etcd does not follow a member.
    #[error(transparent)]
    Etcd(#[from] EtcdError),
}

impl Diagnose for RenewError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Fleet(error) => error.code(),
            Self::Settings(error) => error.code(),
            Self::Etcd(error) => error.code(),
        }
    }

    fn passes(&self) -> bool {
        match self {
            Self::Fleet(error) => error.passes(),
            Self::Settings(error) => error.passes(),
            Self::Etcd(error) => error.passes(),
        }
    }
}

/// Keeps the settings of the API as they should be, and the member of etcd on the Bootstrap node where it is.
pub(super) async fn keep(fleet: &Fleet, config: &ConductorConfig) {
    let mut told = None;
    loop {
        let done = async {
            let settings = renewed(fleet, config).await?.settings;
            Ok::<_, RenewError>(member_follows(&settings).await?)
        };
        let error = done.await.err().map(|error| sentence(&error));
        if let Some(error) = error.as_ref().filter(|_| error != told) {
            tracing::warn!(error, "the settings of the cluster are not followed, trying again");
        }
        sleep(if error.is_some() { AGAIN } else { LOOK }).await;
        told = error;
    }
}

/// Settings that the API has now.
struct Renewed {
    settings: ClusterPillar,
    is_change: bool,
}

/// Makes the settings of the API what they should be, and gives nodes what follows. Returns whether they were not.
pub(super) async fn renew(fleet: &Fleet, config: &ConductorConfig) -> Result<bool, RenewError> {
    Ok(renewed(fleet, config).await?.is_change)
}

async fn renewed(fleet: &Fleet, config: &ConductorConfig) -> Result<Renewed, RenewError> {
    let agents = fleet.agents().await?;
    let wished =
        tokio::task::block_in_place(|| cluster_pillar(&config.configuration, &config.archives, &agents))?;
    let former = match fleet.settings().await {
        Ok(former) => former,
        // Nobody would be told what became different, were they written now.
        Err(error) if error.is_retryable() || error.is_forbidden() => return Err(error.into()),
        Err(error) => {
            tracing::warn!(error = sentence(&error), "the settings cannot be read, they are written anew");
            None
        }
    };
    if former.as_ref() == Some(&wished) {
        return Ok(Renewed { settings: wished, is_change: false });
    }
    fleet.write_settings(&wished).await?;
    tracing::info!(versions = ?wished.versions.keys(), "the settings of the cluster were written");
    for (formula, nodes) in to_be_told(former.as_ref(), &wished, &agents) {
        // Nobody waits for it: an agent that is away finds the job when it is there again.
        let call = Call::new("state.apply", [formula, "queue=True"], Duration::from_secs(600));
        leave(fleet, &nodes, &Call { begin_within: AWAY, ..call }).await?;
        tracing::info!(formula, ?nodes, "nodes follow the settings");
    }
    Ok(Renewed { settings: wished, is_change: true })
}

/// The node whose repositories are elsewhere than they were, and where. Pure.
fn moved_repositories<'s>(former: &ClusterPillar, wished: &'s ClusterPillar) -> Option<(&'s str, IpAddr)> {
    wished.repositories.iter().find_map(|(node, address)| {
        let before = former.repositories.get(node)?;
        (before != address).then_some((node.as_str(), *address))
    })
}

/// The other members of etcd reach the one of the Bootstrap node where it is. No deployment does that: the node is
/// moved by its own bootstrap, which has found the member's data.
async fn member_follows(settings: &ClusterPillar) -> Result<(), EtcdError> {
    let Some((node, address)) = settings.repositories.first_key_value() else { return Ok(()) };
    let etcd = Etcd::new(settings.etcd.values().copied().collect())?;
    let own = peer_url(*address);
    for member in etcd.members().await? {
        if member.name == *node && !member.peer_urls.contains(&own) {
            etcd.relocate(&member.id, &own).await?;
            tracing::info!(node, former = ?member.peer_urls, own, "the member of etcd is reached elsewhere");
        }
    }
    Ok(())
}

/// Which formulas nodes apply for other settings: all, where a root was renewed, the repositories are elsewhere, or
/// an addon needs openings; masters, where they know clients by other authorities, or are called by other names.
/// Other nodes that come, go or move are told of by their own runs. Pure.
fn to_be_told(
    former: Option<&ClusterPillar>,
    wished: &ClusterPillar,
    agents: &[Agent],
) -> Vec<(&'static str, BTreeSet<String>)> {
    let Some(former) = former else { return Vec::new() };
    let all = || agents.iter().filter_map(|agent| agent.metadata.name.clone()).collect();
    let mut told = Vec::new();
    if has_other_roots(former, wished) {
        told.push((RENEWED, all()));
    } else if former.authorities != wished.authorities || former.api_server_names != wished.api_server_names {
        told.push((RENEWED, wished.masters.keys().cloned().collect()));
    }
    if moved_repositories(former, wished).is_some() || former.addons != wished.addons {
        told.push((NEIGHBOURS, all()));
    }
    told
}

fn has_other_roots(former: &ClusterPillar, wished: &ClusterPillar) -> bool {
    let root = |settings: &ClusterPillar, name| settings.authorities.get(name).cloned();
    authorities().iter().any(|realm| root(former, realm.common_name) != root(wished, realm.common_name))
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
        addons: configuration.addons,
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

#[cfg(test)]
mod tests {
    use metalk8s_types::{
        fleet::AgentSpec,
        pillar::{Addons, NodeAddresses},
    };

    use super::*;
    use crate::testing::cluster;

    fn agent(name: &str) -> Agent {
        let address = "10.0.0.2".parse().unwrap();
        let spec = AgentSpec {
            version: "1.0.0".into(),
            roles: BTreeSet::new(),
            addresses: NodeAddresses { control_plane: address, workload_plane: address },
            initial_cluster: None,
            jobs: BTreeMap::new(),
            certificates: BTreeMap::new(),
        };
        Agent::new(name, spec)
    }

    #[test]
    fn all_follow_a_renewed_root_and_masters_the_authorities_of_their_clients() {
        let with = |root: &str, clients: &str| ClusterPillar {
            masters: BTreeMap::from([("m".to_owned(), "10.0.0.3".parse().unwrap())]),
            authorities: [("etcd-ca", root), ("client-ca", clients)]
                .map(|(name, pem)| (name.to_owned(), pem.to_owned()))
                .into(),
            ..cluster()
        };
        let agents = ["m", "w"].map(agent);
        let told = |wished: &ClusterPillar| to_be_told(Some(&with("a", "x")), wished, &agents);
        let masters = BTreeSet::from(["m".to_owned()]);
        assert_eq!(told(&with("a", "y")), [(RENEWED, masters)]);
        let all = BTreeSet::from(["m", "w"].map(str::to_owned));
        assert_eq!(told(&with("b", "y")), [(RENEWED, all)]);
    }

    #[test]
    fn masters_follow_authorities_and_names_and_all_follow_the_repositories() {
        let at = |address: &str| {
            let of = |node: &str, address: &str| (node.to_owned(), address.parse().unwrap());
            ClusterPillar {
                masters: BTreeMap::from([of("boot", address), of("m", "10.0.0.3")]),
                repositories: BTreeMap::from([of("boot", address)]),
                ..cluster()
            }
        };
        let agents = ["boot", "m", "w"].map(agent);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let former = at("10.0.0.1");
        assert_eq!(to_be_told(None, &former, &agents), []);
        assert_eq!(to_be_told(Some(&former), &former, &agents), []);
        let moved = at("10.0.0.9");
        let all = (NEIGHBOURS, names(&["boot", "m", "w"]));
        assert_eq!(to_be_told(Some(&former), &moved, &agents), std::slice::from_ref(&all));
        let named = ClusterPillar { api_server_names: vec!["api.example.com".into()], ..moved };
        let masters = (RENEWED, names(&["boot", "m"]));
        assert_eq!(to_be_told(Some(&former), &named, &agents), [masters, all]);
        let balanced =
            ClusterPillar { addons: Addons { metallb: true, ..Addons::default() }, ..former.clone() };
        assert_eq!(to_be_told(Some(&former), &balanced, &agents), [(NEIGHBOURS, names(&["boot", "m", "w"]))]);
        // A first Bootstrap node has not moved.
        assert_eq!(moved_repositories(&cluster(), &former), None);
    }
}
