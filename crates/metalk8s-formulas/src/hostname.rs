//! How a node is called.

use metalk8s_types::Grains;

/// The name of the Node object: the host name, which the pre-checks have found to be a DNS label.
pub(crate) fn node_name(grains: &Grains) -> &str {
    &grains.hostname
}
