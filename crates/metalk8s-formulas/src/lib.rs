//! Which states make a node what its roles say: facts and settings in, graphs of states out.
//!
//! Begin with [`bootstrap()`], the ordered stages of a Bootstrap node, and [`node()`], those of any other.
//!
//! Invariants: no `async fn`, no file is opened, no client is known. A formula that gets the same facts and
//! settings returns the same graph, to the byte.

mod accounts;
mod addons;
mod agent;
mod apiserver_proxy;
mod bootstrap;
mod containerd;
mod control_plane;
mod etcd;
mod firewall;
mod fleet;
mod former;
mod hostname;
mod kubelet;
mod layout;
mod member;
mod neighbours;
mod node;
mod pki;
mod pod;
mod renewal;
mod repositories;
mod reset;
mod roles;
mod salt_master;
mod system;

pub use accounts::ACCOUNTS;
pub use addons::{AddonError, UpstreamManifests};
pub use agent::{UNIT as AGENT_UNIT, running as agent_running};
pub use apiserver_proxy::{LIST as API_SERVERS_LIST, static_pod as apiserver_proxy};
pub use bootstrap::{CONTAINERD, CONTROL_PLANE, DEPLOYED, FormulaError, PACKAGES, Stage, as_one, bootstrap};
pub use fleet::agent as agent_states;
pub use former::REMOVABLE;
pub use layout::{AUTHORITY_LIFETIME, known_name};
pub use member::{WantedCertificate, certificates, node};
pub use neighbours::neighbours;
pub use pki::{AuthorityFiles, authorities, issuing, public_authorities};
pub use renewal::{CERTIFICATE_FILES, CertificateFile, CertificateForm, Taken, renewed};
pub use repositories::{
    archives_declared, archives_mounted, authority as repositories_authority, packages as packages_of_node,
    repository, server as repositories_server, server_endpoint as repositories_endpoint,
};
pub use reset::reset;
pub use roles::of_role;
pub use system::prepared as system;
