//! Commands and files on a machine over SSH, for a machine on which nothing of ours is installed yet.
//!
//! Begin with [`Session::connect`]; then [`Session::run`] and [`Session::upload`].
//!
//! Invariants: everything has a deadline, and a machine that vanishes is noticed before it. The other side
//! needs a POSIX shell and seven programs (`cat`, `chmod`, `mkdir`, `mv`, `rm`, `sha256sum`, and `sudo` where
//! it is asked for). A host key that is not the expected one ends the connection before anything is said.
//! Foreign bytes are bounded, and shown without control characters; a private key is never shown.

mod command;
mod connect;
mod endpoint;
mod host_key;
mod key;
mod quote;
mod run;
mod upload;
mod words;

pub use command::{Command, End, Output, Ran};
pub use connect::{ConnectError, Session};
pub use endpoint::{Endpoint, Options};
pub use run::RunError;
pub use upload::{Upload, UploadError, Uploaded};
