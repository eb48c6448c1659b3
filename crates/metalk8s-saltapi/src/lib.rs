//! The HTTP API of Salt's master (that of rest_cherrypy), over the bus of the fleet.
//!
//! Begin with [`serve`], which `metalk8s salt-api` runs, and [`router`], which knows every path.
//!
//! Invariants: nothing but tokens of the cluster lets anybody in, and none of them is kept or logged; what is
//! asked for is read and allowed as a whole before any of it is begun; sessions, connections, streams and bodies
//! are bounded.

mod access;
mod answer;
mod api;
mod body;
mod carry_out;
mod events;
mod rate;
mod reviews;
mod routes;
mod server;
mod sessions;
mod stats;

pub use api::{Api, Limits};
pub use metalk8s_listen::{ServeError, TlsFiles};
pub use rate::Rate;
pub use reviews::Reviews;
pub use routes::router;
pub use server::{SaltApiConfig, Server, serve};
