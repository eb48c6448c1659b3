//! From what people wrote and what the archive offers to the settings that formulas read.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use metalk8s_artifacts::{
    Archive,
    archive::{ReadArchiveError, read_product, read_signature},
};
use metalk8s_diagnostics::{Code, Diagnose, explain};
use metalk8s_types::{
    BootstrapConfiguration, Grains, Pillar, Role, environment, paths,
    pillar::{ArchiveMount, Authorities, ClusterPillar, NodeAddresses},
};

/// The roles of the first node (BOOT-20).
pub(crate) const BOOTSTRAP_ROLES: [Role; 4] = [Role::Bootstrap, Role::Etcd, Role::Infra, Role::Master];

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum PillarError {
    /// The machine has no address, or several, in a plane.
    #[error("the machine has {found} address(es) in {plane}, which must be exactly one: {addresses}")]
    Addresses {
        /// `networks.controlPlane` or `networks.workloadPlane`.
        plane: &'static str,
        /// How many were found.
        found: usize,
        /// Which, or what was looked for.
        addresses: String,
    },
    /// An archive of the configuration cannot be read.
    #[error("the archive `{path}` of the configuration cannot be used")]
    Archive {
        /// The archive.
        path: PathBuf,
        /// Why.
        #[source]
        source: ReadArchiveError,
    },
}

impl Diagnose for PillarError {
    fn code(&self) -> Option<Code> {
        Some(match self {
            Self::Addresses { found: 0, .. } => explain::NO_ADDRESS,
            Self::Addresses { .. } => explain::SEVERAL_ADDRESSES,
            Self::Archive { .. } => explain::ARCHIVE_UNREADABLE,
        })
    }
}

/// The settings of the Bootstrap node, installed from the archive mounted at `root`.
///
/// # Errors
/// When addresses are missing or ambiguous, or an archive is unreadable.
pub(crate) fn bootstrap_pillar(
    configuration: &BootstrapConfiguration,
    grains: &Grains,
    archive: &Archive,
    root: &Path,
    known: Option<&ClusterPillar>,
) -> Result<Pillar, PillarError> {
    let control_plane = address(grains, "networks.controlPlane", &configuration.networks.control_plane)?;
    let workload_plane = address(grains, "networks.workloadPlane", &configuration.networks.workload_plane)?;
    let archives = configuration.archives.iter().cloned().map(mount).collect::<Result<_, _>>()?;
    Ok(Pillar {
        networks: configuration.networks.clone(),
        proxies: configuration.proxies.clone(),
        certificates: configuration.certificates,
        api_server_names: configuration.api_server_names.clone(),
        addons: configuration.addons,
        ca_node: configuration.ca_minion.clone(),
        node: NodeAddresses { control_plane, workload_plane },
        archive: archive.facts(root, &grains.package_repository()),
        archives,
        masters: with_others(&configuration.ca_minion, control_plane, known.map(|known| &known.masters)),
        etcd: with_others(&configuration.ca_minion, control_plane, known.map(|known| &known.etcd)),
        repositories: vec![control_plane],
        roles: BOOTSTRAP_ROLES.into(),
        authorities: Authorities::Here,
        initial_cluster: None,
    })
}

/// This node, at its address of now, and those that the API knows besides.
fn with_others(node: &str, own: IpAddr, known: Option<&BTreeMap<String, IpAddr>>) -> Vec<IpAddr> {
    let mut all = known.cloned().unwrap_or_default();
    all.insert(node.to_owned(), own);
    all.into_values().collect()
}

/// The first range in which this machine has an address decides; there it must have one only (BOOT-32).
pub(crate) fn address(grains: &Grains, plane: &'static str, ranges: &[IpNet]) -> Result<IpAddr, PillarError> {
    if let Some((_, found)) = grains.addresses_in(ranges) {
        if let [one] = found[..] {
            return Ok(one);
        }
        let addresses = found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(PillarError::Addresses { plane, found: found.len(), addresses });
    }
    let addresses = ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Err(PillarError::Addresses { plane, found: 0, addresses })
}

/// Where an archive is mounted: its product.txt names the version (ISO-02).
pub(crate) fn mount(archive: PathBuf) -> Result<ArchiveMount, PillarError> {
    let read = read_product(&archive).and_then(|product| Ok((product, read_signature(&archive)?)));
    let (product, signature) =
        read.map_err(|source| PillarError::Archive { path: archive.clone(), source })?;
    let is_image = archive.is_file();
    let mountpoint = if is_image {
        Path::new(paths::ARCHIVES).join(environment(&product.version))
    } else {
        archive.clone()
    };
    Ok(ArchiveMount { archive, mountpoint, is_image, signature })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_with_another_address_than_the_api_knows_is_not_two() {
        let address = |text: &str| -> IpAddr { text.parse().unwrap() };
        assert_eq!(with_others("a", address("10.0.0.9"), None), [address("10.0.0.9")]);
        let known =
            BTreeMap::from([("a".to_owned(), address("10.0.0.1")), ("b".to_owned(), address("10.0.0.2"))]);
        let expected = [address("10.0.0.9"), address("10.0.0.2")];
        assert_eq!(with_others("a", address("10.0.0.9"), Some(&known)), expected);
    }
}
