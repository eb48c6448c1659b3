//! Archives on a machine: examined, named in the configuration, mounted (area ISO).
//!
//! [`prepare`] reads and decides, and changes nothing; [`crate::stages`] shows and does. [`mounted`] is the
//! part that a machine needs whose mounts are gone.

mod error;
mod examine;

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Component, Path, PathBuf},
};

use metalk8s_artifacts::archive::read_product;
use metalk8s_diagnostics::{Progress, ProgressMode};
use metalk8s_engine::Graph;
use metalk8s_formulas::{Stage, archives_declared, archives_mounted};
use metalk8s_types::{
    BootstrapConfiguration, bootstrap_config::GivenSettings, environment, pillar::ArchiveMount,
};

pub use error::ArchivesError;

use crate::{configuration::ConfigurationFile, verified::NOTE};
use examine::examine;

/// The name of its runs in journals.
pub const RUN: &str = "archives";

/// What is asked for.
#[derive(Debug, Clone)]
pub struct ArchivesOptions {
    /// Archives to add: ISO files or folders. Without any, those of the configuration are seen to again.
    pub add: Vec<PathBuf>,
    /// The BootstrapConfiguration.
    pub config: PathBuf,
    /// Where it is kept which archives were compared with their manifests.
    pub note: PathBuf,
    /// Whether not even that is written.
    pub dry_run: bool,
}

/// Archives that were examined, and what is to be done.
#[derive(Debug)]
pub struct Archives {
    /// All of the configuration, those that are added at the end, each with the place where it is mounted.
    pub mounts: Vec<ArchiveMount>,
    /// What is done, in order.
    pub stages: Vec<Stage>,
}

impl ArchivesOptions {
    /// The archives of a configuration on this machine, and these ones too.
    pub fn new(config: impl Into<PathBuf>, add: Vec<PathBuf>, dry_run: bool) -> Self {
        Self { add, config: config.into(), note: NOTE.into(), dry_run }
    }
}

/// Reads the configuration, examines every archive, and decides what is to be done. Changes nothing but the
/// note of what was compared, and in a dry run not even that.
///
/// # Errors
/// When the configuration cannot be used or added to, or an archive is not what it must be.
pub fn prepare(options: &ArchivesOptions, progress: &Progress) -> Result<Archives, ArchivesError> {
    let step = progress.step("Reading the configuration");
    let file = ConfigurationFile::read(&options.config)?;
    let mut archives = file.configuration.archives.clone();
    let added = new_ones(&options.add, &mut archives)?;
    step.done();
    let mounts = examine(&archives, &options.note, !options.dry_run, progress)?;
    let mut stages = Vec::new();
    if !added.is_empty() {
        let (path, mode, text) = edited(&file, &added)?;
        stages.push(Stage {
            title: "Writing the configuration",
            name: "configuration",
            graph: archives_declared(&path, mode, text, &added),
        });
    }
    stages.push(Stage { title: "Mounting archives", name: "archives", graph: archives_mounted(&mounts) });
    Ok(Archives { mounts, stages })
}

/// The states that mount every archive of the configuration, or those that were `given` in their place, once it was
/// examined.
///
/// # Errors
/// When the configuration cannot be used, or an archive is not what it must be.
pub fn mounted(options: &ArchivesOptions, given: &GivenSettings) -> Result<Graph, ArchivesError> {
    let mut configuration = ConfigurationFile::read(&options.config)?.configuration;
    given.change_configuration(&mut configuration);
    let silent = Progress::to(ProgressMode::Quiet, io::sink());
    Ok(archives_mounted(&examine(&configuration.archives, &options.note, !options.dry_run, &silent)?))
}

/// The environments of all versions that are mounted below `root`, such as `metalk8s-0.1.0`.
pub fn installed(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let mut found: Vec<String> = entries
        .filter_map(|entry| {
            let environment = environment(&read_product(&entry.path()).ok()?.version);
            (entry.file_name().to_str() == Some(&environment)).then_some(environment)
        })
        .collect();
    found.sort();
    found
}

/// Appends to `archives` what it does not name yet, and tells what that was.
fn new_ones(add: &[PathBuf], archives: &mut Vec<PathBuf>) -> Result<Vec<PathBuf>, ArchivesError> {
    let known = archives.len();
    for path in add {
        let path = absolute(path).map_err(|source| ArchivesError::Path { path: path.clone(), source })?;
        if !archives.iter().any(|other| *other == path || is_same_file(other, &path)) {
            archives.push(path);
        }
    }
    Ok(archives[known..].to_vec())
}

/// The path as the configuration has it: links are kept, because the person named them.
fn absolute(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    if path.components().any(|part| part == Component::ParentDir) {
        return path.canonicalize();
    }
    Ok(path.components().collect())
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    matches!((identity(one), identity(other)), (Some(one), Some(other)) if one == other)
}

/// Where the configuration really is, its permissions, and its text with more archives.
fn edited(file: &ConfigurationFile, added: &[PathBuf]) -> Result<(PathBuf, u32, String), ArchivesError> {
    let path = &file.path;
    let failed = |source| ArchivesError::Configuration { path: path.clone(), source };
    // Examining archives takes its time, in which a person may have saved the file.
    if fs::read(path).map_err(failed)? != file.bytes {
        return Err(ArchivesError::ChangedMeanwhile { path: path.clone() });
    }
    let uneditable = || ArchivesError::Uneditable { path: path.clone(), added: added.to_vec() };
    let text = str::from_utf8(&file.bytes).map_err(|_| uneditable())?;
    let text = BootstrapConfiguration::with_archives(text, added).map_err(|_| uneditable())?;
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o7777;
    Ok((path.canonicalize().map_err(failed)?, mode, text))
}

#[cfg(test)]
mod tests;
