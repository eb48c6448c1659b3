//! Settings handed to a node: the BootstrapConfiguration and the archive, read, checked and resolved.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Everything a formula may know besides the facts of the node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pillar {
    /// Networks of the cluster.
    pub networks: Networks,
    /// The proxies of the container runtime.
    pub proxies: Proxies,
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
    /// Control-plane addresses of the nodes that serve repositories.
    pub repositories: Vec<IpAddr>,
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

/// Addresses of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
