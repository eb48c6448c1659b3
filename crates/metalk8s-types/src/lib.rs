//! The data everybody speaks: configurations, facts, settings, roles, versions, labels, well-known paths.
//!
//! Invariants: data only. Nothing here opens a file, runs a program or knows a network.

pub mod bootstrap_config;
mod cache;
pub mod fake;
pub mod fleet;
pub mod grains;
pub mod labels;
mod leftovers;
pub mod paths;
pub mod pillar;
pub mod roles;

pub use bootstrap_config::{BootstrapConfiguration, is_host_name};
pub use cache::cache_folder;
pub use grains::Grains;
pub use leftovers::Leftovers;
pub use pillar::Pillar;
pub use roles::Role;

/// Name of the product, as in product.txt.
pub const PRODUCT: &str = "MetalK8s";

/// Version of this program and of the archive it belongs to.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The first line of every generated file whose format has comments (CFG-28). No moment stands in it: the same
/// settings make the same bytes.
pub fn header() -> String {
    format!("# Made by {PRODUCT} {VERSION}; changes are overwritten.\n")
}

/// Logical name of the registry in all image references (PKG-15); containerd maps it to ours.
pub const REGISTRY: &str = "metalk8s-registry-from-config.invalid";

/// The environment of a version: `metalk8s-<version>` (CFG-07).
pub fn environment(version: &str) -> String {
    format!("metalk8s-{version}")
}
