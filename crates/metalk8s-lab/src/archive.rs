//! The product's ISO and how the machines come to see it.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use metalk8s_diagnostics::{Diagnose, Hint};

use crate::podman::{LAB_LABEL, Podman, PodmanError};

pub mod other;

/// Where machines see the archives, read-only.
pub const FOLDER: &str = "/archives";
/// The product's ISO on a machine.
pub const PRODUCT: &str = "/archives/metalk8s.iso";

/// Why an archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is not there.
    #[error("there is no archive `{path}`")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// It is no file, or an empty one.
    #[error("`{path}` is no archive: {reason}")]
    NoArchive {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// It cannot be read or copied.
    #[error("could not copy the archive `{path}` to the machines")]
    Copy {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The container engine refused.
    #[error("could not make a volume for the archives")]
    Podman(#[from] PodmanError),
}

impl Diagnose for ArchiveError {
    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Missing { .. } => vec![
                "`make iso` builds it; `--iso PATH` names another one".into(),
                "`./lab up --no-bootstrap` boots bare machines without it".into(),
            ],
            _ => Vec::new(),
        }
    }
}

/// The volume that holds the archives of a lab.
pub fn volume(lab: &str) -> String {
    format!("metalk8s-{lab}-archives")
}

/// Refuses what can be no archive, before anything is made.
pub fn look_at(path: &Path) -> Result<fs::Metadata, ArchiveError> {
    let found = fs::metadata(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ArchiveError::Missing { path: path.to_owned() },
        _ => ArchiveError::Copy { path: path.to_owned(), source },
    })?;
    let reason = match (found.is_file(), found.len()) {
        (false, _) => "it is no file",
        (true, 0) => "it is empty",
        (true, _) => return Ok(found),
    };
    Err(ArchiveError::NoArchive { path: path.to_owned(), reason })
}

/// What tells two builds of an archive apart without reading them: size and time of the last change.
pub fn identity(found: &fs::Metadata) -> String {
    format!("{}-{}.{:09}", found.len(), found.mtime(), found.mtime_nsec())
}

/// Makes the lab's volume for archives.
pub fn prepare_volume(podman: &Podman, lab: &str) -> Result<(), ArchiveError> {
    let volume = volume(lab);
    if !podman.exists("volume", &volume)? {
        podman.run(["volume", "create", "--label", &format!("{LAB_LABEL}={lab}"), &volume])?;
    }
    Ok(())
}

/// Copies an archive into the lab's volume under this name, unless that very file is there already.
///
/// The copy appears whole: a machine that has the former one mounted keeps it until it is unmounted.
/// Returns whether it was copied.
pub fn offer(podman: &Podman, lab: &str, path: &Path, name: &str) -> Result<bool, ArchiveError> {
    let found = look_at(path)?;
    let folder = podman.run(["volume", "inspect", "--format", "{{.Mountpoint}}", &volume(lab)])?;
    copy(path, &found, &Path::new(folder.trim()).join(name))
        .map_err(|source| ArchiveError::Copy { path: path.to_owned(), source })
}

fn copy(path: &Path, found: &fs::Metadata, target: &Path) -> io::Result<bool> {
    if fs::metadata(target).is_ok_and(|there| identity(&there) == identity(found)) {
        return Ok(false);
    }
    let folder = target.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut source = File::open(path)?;
    let mut unfinished = tempfile::Builder::new().prefix(".unfinished-").tempfile_in(folder)?;
    io::copy(&mut source, unfinished.as_file_mut())?;
    let file = unfinished.as_file();
    file.set_permissions(<fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644))?;
    file.set_modified(found.modified()?)?;
    unfinished.persist(target).map_err(|failed| failed.error)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_copied_once_and_again_after_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::write(&from, "one").unwrap();
        let copy = || copy(&from, &look_at(&from).unwrap(), &to).unwrap();
        assert!(copy());
        assert!(!copy(), "the same file");
        fs::write(&from, "two, longer").unwrap();
        assert!(copy());
        assert_eq!(fs::read(&to).unwrap(), b"two, longer");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing unfinished is left");
    }

    #[test]
    fn what_can_be_no_archive_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        fs::write(&empty, "").unwrap();
        assert!(matches!(look_at(&empty), Err(ArchiveError::NoArchive { reason: "it is empty", .. })));
        assert!(matches!(look_at(folder.path()), Err(ArchiveError::NoArchive { .. })));
        assert!(matches!(look_at(&folder.path().join("no")), Err(ArchiveError::Missing { .. })));
    }
}
