//! Boots test machines and runs the end-to-end suites.
//!
//! A machine is a container that boots systemd; a lab is some machines on two networks of their own, with no
//! way out. Begin at [`Lab`]: `Lab::up` makes one, [`Lab::machine`] gives a [`Machine`] to run commands on.
//!
//! Invariants:
//! - What a lab consists of is told by labels on its containers, networks and volumes, never by a file.
//! - Every command that goes to a machine or to the container engine has a deadline.
//! - Only what carries the lab's label is ever removed.
//! - This crate knows the product as a user does: an archive, a configuration, commands and an API.

pub mod archive;
pub mod cache;
pub mod image;
mod init;
pub mod install;
pub mod lab;
pub mod loops;
pub mod machine;
pub mod mirror;
pub mod network;
pub mod podman;
pub mod preflight;
pub mod procedures;
pub mod process;
pub mod snapshot;
pub mod suite;
pub mod wait;

pub use lab::{Lab, LabConfig, LabName, TemporaryLab};
pub use machine::Machine;
pub use process::Output;
pub use wait::{SOON, wait_until};
