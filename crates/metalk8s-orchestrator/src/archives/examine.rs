//! Whether archives are what they must be.

use std::{
    collections::BTreeMap,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
};

use metalk8s_artifacts::{archive::ReadArchiveError, product::ProductError, read_archive};
use metalk8s_diagnostics::{Problem, Problems, Progress, explain};
use metalk8s_types::pillar::ArchiveMount;

use super::ArchivesError;
use crate::{pillar::mount, verified::verify_once};

/// Looks at each archive, tells all that is wrong with any of them, then compares each with its manifest.
pub(super) fn examine(
    archives: &[PathBuf],
    note: &Path,
    keep: bool,
    progress: &Progress,
) -> Result<Vec<ArchiveMount>, ArchivesError> {
    let mut versions: BTreeMap<String, &Path> = BTreeMap::new();
    let mut problems = Vec::new();
    let mut mounts = Vec::new();
    for archive in archives {
        let version = match version(archive) {
            Ok(version) => version,
            Err(problem) => {
                problems.push(*problem);
                continue;
            }
        };
        if let Some(first) = versions.get(&version) {
            let (first, second) = (first.display(), archive.display());
            let message = format!("`{first}` and `{second}` are both version {version}");
            problems.push(Problem::new(explain::ARCHIVE_TWICE, message));
            continue;
        }
        match mount(archive.clone()) {
            Ok(mount) => mounts.push(mount),
            Err(err) => problems.push(Problem::new(explain::ARCHIVE_UNREADABLE, chain(&err))),
        }
        versions.insert(version, archive);
    }
    Problems::check("the archives cannot be used as they are; nothing was changed", problems)
        .map_err(ArchivesError::Unusable)?;
    for archive in archives {
        let step = progress.step(format!("Verifying {}", archive.display()));
        verify_once(archive, note, keep, &step)?;
        step.done();
    }
    Ok(mounts)
}

fn version(archive: &Path) -> Result<String, Box<Problem>> {
    let path = archive.display();
    let problem = |code, message| Box::new(Problem::new(code, message));
    let metadata = fs::metadata(archive).map_err(|err| match err.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            problem(explain::ARCHIVE_MISSING, format!("the archive `{path}` does not exist"))
        }
        _ => problem(explain::ARCHIVE_UNREADABLE, format!("could not look at `{path}`: {err}")),
    })?;
    // Opening a pipe or a device could wait for ever.
    if !metadata.is_file() && !metadata.is_dir() {
        let message = format!("`{path}` is neither a file nor a folder");
        return Err(problem(explain::ARCHIVE_UNREADABLE, message));
    }
    match read_archive(archive) {
        Ok(read) => Ok(read.product.version),
        Err(err) => {
            let code = match &err {
                ReadArchiveError::Product { source: ProductError::OtherProduct(_), .. } => {
                    explain::ARCHIVE_WRONG_PRODUCT
                }
                _ => explain::ARCHIVE_UNREADABLE,
            };
            Err(problem(code, chain(&err)))
        }
    }
}

/// An error and its causes in one line.
fn chain(err: &dyn Error) -> String {
    let mut text = err.to_string();
    let mut next = err.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}
