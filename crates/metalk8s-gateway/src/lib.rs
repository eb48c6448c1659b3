//! HTTP and TCP: package repositories, OCI registry, local balancer of the API servers.
//!
//! Begin with [`serve_repositories`] (what `metalk8s repositories` runs) and [`serve_balancer`]
//! (what the pods `apiserver-proxy` run). Both take a future that ends them.
//!
//! Invariants: nothing is ever written; no byte outside an archive can be reached; memory does not grow with
//! the size of what is sent, and the number of connections is bounded.

pub mod balancer;
mod descriptors;
pub mod http;
pub mod repositories;

pub use balancer::{Backends, Balancer, BalancerConfig, StartError, serve_balancer};
pub use http::Limits;
pub use metalk8s_listen::{ServeError, TlsFiles};
pub use repositories::{Repositories, RepositoriesConfig, serve_repositories};
