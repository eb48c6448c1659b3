//! Which states make a node what its roles say: facts and settings in, graphs of states out.
//!
//! Begin with [`bootstrap()`], the ordered stages of a Bootstrap node.
//!
//! Invariants: no `async fn`, no file is opened, no client is known. A formula that gets the same facts and
//! settings returns the same graph, to the byte.

mod accounts;
mod addons;
mod apiserver_proxy;
mod bootstrap;
mod containerd;
mod control_plane;
mod etcd;
mod firewall;
mod hostname;
mod kubelet;
mod layout;
mod node;
mod pki;
mod pod;
mod repositories;
mod system;

pub use addons::{AddonError, UpstreamManifests};
pub use bootstrap::{FormulaError, Stage, bootstrap};
pub use repositories::{archives_declared, archives_mounted};
