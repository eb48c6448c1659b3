//! Settings handed to a node: the BootstrapConfiguration and the archive, read, checked and resolved.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

#[cfg(doc)]
use crate::Grains;
use crate::{Role, environment, paths};

/// Everything a formula may know besides the facts of the node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pillar {
    /// Networks of the cluster.
    pub networks: Networks,
    /// The proxies of the container runtime.
    pub proxies: Proxies,
    /// How long certificates live.
    pub certificates: Certificates,
    /// Further names and addresses that clients call API servers by (NET-13).
    pub api_server_names: Vec<String>,
    /// Parts that this cluster may have or not.
    pub addons: Addons,
    /// The node that holds the authorities, which is the Bootstrap node.
    pub ca_node: String,
    /// Addresses of this node, found by the CIDRs of both planes (BOOT-32).
    pub node: NodeAddresses,
    /// The archive this version is installed from.
    pub archive: ArchiveFacts,
    /// All archives named by the configuration, with where each is mounted.
    pub archives: Vec<ArchiveMount>,
    /// Control-plane addresses of all masters.
    pub masters: Vec<IpAddr>,
    /// Control-plane addresses of all members of etcd.
    pub etcd: Vec<IpAddr>,
    /// Control-plane addresses of the nodes that serve repositories.
    pub repositories: Vec<IpAddr>,
    /// The roles of this node.
    pub roles: BTreeSet<Role>,
    /// Where certificates come from.
    pub authorities: Authorities,
    /// `--initial-cluster` of a member that joined an etcd; `None` on the first one.
    pub initial_cluster: Option<String>,
}

/// Where the authorities of the cluster are, as a node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authorities {
    /// On this node, which signs by itself.
    Here,
    /// On another one, asked through the API. Their certificates in PEM, by their common names.
    Elsewhere(BTreeMap<String, String>),
}

/// Settings that all nodes share, as the conductor hands them out. The address of a proxy in it may hold a
/// password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterPillar {
    /// Networks of the cluster.
    pub networks: Networks,
    /// The proxies of the container runtime.
    pub proxies: Proxies,
    /// How long certificates live; the settings of older versions do not say it.
    #[serde(default)]
    pub certificates: Certificates,
    /// Further names and addresses that clients call API servers by; the settings of older versions do not say them.
    #[serde(default)]
    pub api_server_names: Vec<String>,
    /// Parts that this cluster may have or not; the settings of older versions do not say it.
    #[serde(default)]
    pub addons: Addons,
    /// The node that holds the authorities.
    pub ca_node: String,
    /// What each version that can be installed offers, by version.
    pub versions: BTreeMap<String, VersionFacts>,
    /// Control-plane addresses of all masters, by node.
    pub masters: BTreeMap<String, IpAddr>,
    /// Control-plane addresses of all members of etcd, by node.
    pub etcd: BTreeMap<String, IpAddr>,
    /// Control-plane addresses of the nodes that serve repositories, by node.
    pub repositories: BTreeMap<String, IpAddr>,
    /// Certificates of the roots in PEM, by their common names; and `client-ca`: by which API servers know clients.
    pub authorities: BTreeMap<String, String>,
    /// The same settings as people look them up on a node.
    pub tree: serde_json::Value,
}

/// What a version offers to any host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionFacts {
    /// Images by name.
    pub images: BTreeMap<String, ImageFacts>,
    /// Exact versions of packages by name, by the key of the host's repository ([`Grains::package_repository`]).
    pub packages: BTreeMap<String, BTreeMap<String, String>>,
    /// Versions of the components by name.
    pub components: BTreeMap<String, String>,
    /// The SHA-256 of the program `metalk8s` of this version, in hexadecimal digits.
    pub program: String,
    /// The key that signs the packages: an armoured OpenPGP public key.
    pub packages_key: String,
}

/// A version that nobody can install.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no archive of version {version} is mounted; there is: {known}")]
pub struct UnknownVersion {
    version: String,
    known: String,
}

impl ClusterPillar {
    /// What a version offers.
    ///
    /// # Errors
    /// When no archive of it is there.
    pub fn version(&self, version: &str) -> Result<&VersionFacts, UnknownVersion> {
        self.versions.get(version).ok_or_else(|| UnknownVersion {
            version: version.to_owned(),
            known: self.versions.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }

    /// The settings of a node that holds no archive and no authority. Its packages are those of the repository
    /// with this key ([`Grains::package_repository`]).
    ///
    /// # Errors
    /// When no archive of the version is there.
    pub fn of_node(&self, node: &NodeWish, package_repository: &str) -> Result<Pillar, UnknownVersion> {
        let NodeWish { version, roles, addresses, initial_cluster } = node;
        let facts = self.version(version)?;
        Ok(Pillar {
            networks: self.networks.clone(),
            proxies: self.proxies.clone(),
            certificates: self.certificates,
            api_server_names: self.api_server_names.clone(),
            addons: self.addons,
            ca_node: self.ca_node.clone(),
            node: *addresses,
            archive: ArchiveFacts {
                version: version.clone(),
                root: Path::new(paths::ARCHIVES).join(environment(version)),
                images: facts.images.clone(),
                packages: facts.packages.get(package_repository).cloned().unwrap_or_default(),
                components: facts.components.clone(),
                source: ArchiveSource::Served { packages_key: facts.packages_key.clone() },
            },
            archives: Vec::new(),
            masters: self.masters.values().copied().collect(),
            etcd: self.etcd.values().copied().collect(),
            repositories: self.repositories.values().copied().collect(),
            roles: roles.clone(),
            authorities: Authorities::Elsewhere(self.authorities.clone()),
            initial_cluster: initial_cluster.clone(),
        })
    }
}

/// What a node shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeWish {
    /// The version.
    pub version: String,
    /// Its roles.
    pub roles: BTreeSet<Role>,
    /// Its addresses in both planes.
    pub addresses: NodeAddresses,
    /// `--initial-cluster` of its etcd, where it joined one.
    pub initial_cluster: Option<String>,
}

/// Networks of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Networks {
    /// Ranges of the control plane, tried in order.
    pub control_plane: Vec<IpNet>,
    /// Ranges of the workload plane, tried in order.
    pub workload_plane: Vec<IpNet>,
    /// The pods' range.
    pub pods: IpNet,
    /// The services' range.
    pub services: IpNet,
    /// The smallest MTU of the workload plane, in bytes; `None` lets the overlay find it.
    pub workload_plane_mtu: Option<u32>,
}

/// Proxies of the container runtime (BOOT-05).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxies {
    /// For http addresses.
    pub http: Option<String>,
    /// For https addresses.
    pub https: Option<String>,
    /// Hosts, addresses and ranges that bypass it.
    pub no_proxy: Vec<String>,
}

/// Certificates of servers and clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificates {
    /// Seconds that one is valid for; it is renewed after two thirds of its life.
    pub lifetime_seconds: u64,
}

impl Default for Certificates {
    fn default() -> Self {
        Self { lifetime_seconds: 365 * 86_400 }
    }
}

/// Parts that a cluster may have or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addons {
    /// MetalLB, which gives addresses to Services of the type LoadBalancer (NET-14).
    pub metallb: bool,
    /// Calico's BGP in the place of the overlay: the network has routes to pods (NET-16).
    #[serde(default)]
    pub calico_bgp: bool,
}

/// Addresses of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeAddresses {
    /// Its address in the control plane.
    pub control_plane: IpAddr,
    /// Its address in the workload plane.
    pub workload_plane: IpAddr,
}

/// What the archive offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveFacts {
    /// The product version.
    pub version: String,
    /// Where it is mounted, such as `/srv/scality/metalk8s-0.1.0`.
    pub root: PathBuf,
    /// Images by name, such as `etcd`.
    pub images: BTreeMap<String, ImageFacts>,
    /// Exact versions of the packages by name, for the family of this host.
    pub packages: BTreeMap<String, String>,
    /// Versions of the components by name, such as `kubernetes` to `1.35.4`.
    pub components: BTreeMap<String, String>,
    /// Who hands its packages out.
    pub source: ArchiveSource,
}

/// Who hands out the packages of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveSource {
    /// It is mounted on this node.
    Mounted,
    /// The repositories of other nodes.
    Served {
        /// The key that signs the packages: an armoured OpenPGP public key.
        packages_key: String,
    },
}

/// One image of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// Its tag, such as `3.6.16`.
    pub tag: String,
    /// The digest of its manifest, `sha256:...`.
    pub digest: String,
}

/// An archive and where it is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveMount {
    /// The ISO file, or a folder.
    pub archive: PathBuf,
    /// Such as `/srv/scality/metalk8s-0.1.0`.
    pub mountpoint: PathBuf,
    /// Whether it is a file that must be mounted.
    pub is_image: bool,
    /// Its `manifest.json.sig`, which no other archive has.
    pub signature: String,
}

impl ArchiveFacts {
    /// The full reference of an image, such as
    /// `metalk8s-registry-from-config.invalid/metalk8s-0.1.0/etcd:3.6.16` (PKG-15).
    pub fn reference(&self, image: &str) -> Option<String> {
        let facts = self.images.get(image)?;
        Some(format!("{}/{}/{image}:{}", crate::REGISTRY, crate::environment(&self.version), facts.tag))
    }
}
