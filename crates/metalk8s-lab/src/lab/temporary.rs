//! A lab for the time of a test.

use metalk8s_diagnostics::{Progress, ProgressMode};

use super::{Lab, LabConfig, LabError, LabName};
use crate::{cache::Cache, podman::Podman};

/// A lab that is removed when this is dropped; for tests.
#[derive(Debug)]
pub struct TemporaryLab {
    lab: Lab,
    cache: Cache,
}

impl TemporaryLab {
    /// Removes what a former test of this name left, and makes the lab.
    pub fn up(config: &LabConfig) -> Result<Self, LabError> {
        let progress = Progress::new(ProgressMode::Plain, None);
        let cache = Cache::of_this_user()?;
        Lab::down(&config.name, &progress)?;
        // Made before the lab is up, so that a failure half-way is cleaned up too.
        let mut guard = Guard { name: &config.name, armed: true };
        let lab = Lab::up_in(&cache, config, &progress)?;
        guard.armed = false;
        Ok(Self { lab, cache })
    }
}

struct Guard<'a> {
    name: &'a LabName,
    armed: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.armed {
            // The error that led here is the one to be told.
            let _ = Lab::down(self.name, &Progress::new(ProgressMode::Quiet, None));
        }
    }
}

impl std::ops::Deref for TemporaryLab {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl Drop for TemporaryLab {
    fn drop(&mut self) {
        // What stays is found by its label and removed by the next test of this name.
        if let Ok(podman) = Podman::new(&self.cache) {
            let _ = Lab::remove(&podman, &self.lab.name);
        }
    }
}
