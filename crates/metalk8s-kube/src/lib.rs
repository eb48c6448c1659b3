//! Wishes about a cluster made true through the Kubernetes API: objects, the metadata of Nodes, waiting; and the
//! bus of the fleet.
//!
//! Begin with [`Cluster`], which implements [`metalk8s_engine::Hands`], and [`Fleet`], through which agents and
//! conductor speak.
//!
//! Invariants: no status code of the API leaves this crate, only sentences and whether trying again can help.
//! Every call ends within [`CALL_TIMEOUT`], every wait at its own deadline. The data of Secrets never appears
//! in a change.

mod call;
mod cluster;
mod connection;
pub mod fleet;
mod node;
mod object;
mod wait;

pub use call::CALL_TIMEOUT;
pub use cluster::Cluster;
pub use fleet::Fleet;
