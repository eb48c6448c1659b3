//! States made true on a machine: files, packages, units, mounts, images, static pods.
//!
//! Begin with [`Host`], which implements [`metalk8s_engine::Hands`]; [`Host::collect_grains`] tells the facts.
//!
//! Invariants: `check` reads only. `apply` makes the change and nothing else, and afterwards `check` finds
//! nothing. Nothing here knows what a node is for, and no secret leaves for a log, an argument or a plan.
//!
//! Files are read and written by blocking calls, also inside `async fn`: a wish about a file is a few
//! system calls on a small file, and handing each to another thread costs more than the calls themselves.
//! What may take long (copying and comparing large files, unpacking archives, streaming an image) goes to `spawn_blocking`.

mod accounts;
mod command;
mod containers;
mod doing;
mod extracted;
mod files;
mod fingerprint;
mod firewall;
mod grains;
mod host;
mod hosts;
mod image;
mod interfaces;
mod kernel_module;
mod keys;
mod leftovers;
mod lines;
mod loop_device;
mod mount;
mod packages;
mod program;
mod removed;
mod repository;
mod root;
mod service;
mod static_pod;
mod swap;
mod sysctl;
#[cfg(test)]
mod testing;
mod wait;

pub use grains::GrainsError;
pub use host::{Host, Signatures};
pub use static_pod::last_words::Restarts;
