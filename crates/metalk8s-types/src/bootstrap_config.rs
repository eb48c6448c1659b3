//! The BootstrapConfiguration, `/etc/metalk8s/bootstrap.yaml` (constants.md, section 8.1).
//!
//! Begin with [`BootstrapConfiguration::parse`]. It takes the file as bytes, because what a person wrote may
//! be anything, and tells all mistakes at once, each with its place.

mod edit;
mod given;
mod mistake;
mod overlap;
mod read;
mod reader;
mod values;
mod yaml;

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

pub use edit::Uneditable;
pub use given::GivenSettings;
pub use mistake::{Mistake, MistakeCode};
pub use values::is_host_name;

use crate::pillar::{Addons, Certificates, Networks, Proxies};

/// The largest file that is read, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;

/// The pods' range where the file names none.
pub const DEFAULT_PODS: &str = "10.233.0.0/16";
/// The services' range where the file names none.
pub const DEFAULT_SERVICES: &str = "10.96.0.0/12";

/// What the file says, checked as far as it can be without looking at the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct BootstrapConfiguration {
    /// The layout the file is written in.
    pub version: Version,
    /// `networks`, with defaults filled in.
    pub networks: Networks,
    /// `networks.controlPlane.ingress.ip`: the address of the GUIs; `None` is the Bootstrap node's.
    pub ingress_ip: Option<IpAddr>,
    /// `proxies`.
    pub proxies: Proxies,
    /// `certificates`, with defaults filled in.
    pub certificates: Certificates,
    /// `ca.minion`: the host name of the Bootstrap node.
    pub ca_minion: String,
    /// `archives`: absolute paths of ISO files or folders, at least one, none twice.
    pub archives: Vec<PathBuf>,
    /// `kubernetes.apiServer.certSANs`: further names and addresses that clients call API servers by.
    pub api_server_names: Vec<String>,
    /// `kubernetes.apiServer.featureGates`.
    pub feature_gates: BTreeMap<String, bool>,
    /// `addons.metallb.enabled` and `addons.calico.bgp.enabled`; none is, where the file does not say it.
    pub addons: Addons,
}

/// A layout of the file. Both accept all keys that are known today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `metalk8s.scality.com/v1alpha2`.
    V1Alpha2,
    /// `metalk8s.scality.com/v1alpha3`.
    V1Alpha3,
}

impl BootstrapConfiguration {
    /// Reads the file.
    ///
    /// # Errors
    /// All mistakes that can be seen, in the order of the file; never an empty list.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<Mistake>> {
        let document = yaml::load(bytes).map_err(|mistake| vec![mistake])?;
        read::configuration(&document)
    }
}

impl From<&BootstrapConfiguration> for Networks {
    fn from(configuration: &BootstrapConfiguration) -> Self {
        configuration.networks.clone()
    }
}

impl From<&BootstrapConfiguration> for Proxies {
    fn from(configuration: &BootstrapConfiguration) -> Self {
        configuration.proxies.clone()
    }
}

#[cfg(test)]
mod tests;
