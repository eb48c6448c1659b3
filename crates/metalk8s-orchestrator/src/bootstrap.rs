//! The bootstrap: a bare machine becomes a one-node cluster (area BOOT).
//!
//! [`prepare`] reads and decides, and changes nothing; [`crate::stages`] shows and does.

mod inputs;

use std::path::PathBuf;

use metalk8s_formulas::Stage;
use metalk8s_types::Pillar;

pub use inputs::{PrepareError, decide, prepare};

/// The name of its runs in journals.
pub const RUN: &str = "bootstrap";

/// What the bootstrap is asked for.
#[derive(Debug, Clone)]
pub struct BootstrapOptions {
    /// Where this version's archive is mounted.
    pub archive: PathBuf,
    /// The BootstrapConfiguration.
    pub config: PathBuf,
    /// Whether not even the note that the archive was verified is written.
    pub dry_run: bool,
}

/// A bootstrap that was decided: every stage with its states.
#[derive(Debug)]
pub struct Bootstrap {
    /// The settings it was made from.
    pub pillar: Pillar,
    /// What it does, in order.
    pub stages: Vec<Stage>,
}
