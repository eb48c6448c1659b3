//! What a node leaves on its machine besides what formulas name: it depends on what ran there.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What was found on a machine, in the order in which it is removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftovers {
    /// Mounted file systems of pods and containers, the innermost first.
    pub mounts: Vec<PathBuf>,
    /// Network namespaces of pods.
    pub namespaces: Vec<PathBuf>,
    /// Where archives are mounted, now or at boot.
    pub archives: Vec<PathBuf>,
    /// Network interfaces of pods.
    pub interfaces: Vec<String>,
    /// Whether BIRD ran here for Calico, which leaves its routes when it ends.
    pub has_bgp_routes: bool,
    /// Files by which the package manager knows the repositories of archives.
    pub repositories: Vec<PathBuf>,
    /// Whether a person's BootstrapConfiguration is there, which was before the bootstrap.
    pub has_configuration: bool,
    /// Whether root's kubectl uses the administrator's kubeconfig of this machine.
    pub has_root_kubeconfig: bool,
    /// Whether swap was turned off for the kubelet.
    pub has_swap_lines: bool,
}
