//! Archives are compared with their signed manifest before anything of them is used.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use metalk8s_artifacts::verify;
use metalk8s_diagnostics::{Code, Diagnose, Hint, RunningStep, explain};
use serde::{Deserialize, Serialize};

/// How many damaged files are named one by one.
const NAMED: usize = 10;

/// What identifies the bytes of an archive that was verified: as long as this stays, so do they.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Verified {
    archive: PathBuf,
    device: u64,
    inode: u64,
    bytes: u64,
    modified_nanoseconds: i128,
}

/// Why an archive must not be used.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It differs from what was signed.
    #[error("the archive `{archive}` is damaged: {}", summary(.problems))]
    Damaged {
        /// The archive.
        archive: PathBuf,
        /// Every difference.
        problems: Vec<metalk8s_artifacts::Problem>,
    },
    /// It, or the note that it was verified, cannot be read or written.
    #[error("could not look at `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Diagnose for VerifyError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Damaged { .. } => Some(explain::ARCHIVE_DAMAGED),
            Self::File { .. } => None,
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Damaged { archive, .. } => vec![Hint(format!(
                "copy the archive again; `metalk8s archive verify {}` names everything that differs",
                archive.display()
            ))],
            Self::File { .. } => Vec::new(),
        }
    }
}

fn summary(problems: &[metalk8s_artifacts::Problem]) -> String {
    let mut text = problems.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if problems.len() > NAMED {
        text.push_str(&format!("; and {} more", problems.len() - NAMED));
    }
    text
}

/// Compares an archive with its manifest, unless the same bytes were compared before, as `note` says; `keep`
/// writes that note.
///
/// # Errors
/// When it differs, naming what.
pub(crate) fn verify_once(
    archive: &Path,
    note: &Path,
    keep: bool,
    step: &RunningStep,
) -> Result<(), VerifyError> {
    let identity = identity(archive)?;
    let known = fs::read(note).ok().and_then(|bytes| serde_json::from_slice::<Verified>(&bytes).ok());
    if known.as_ref() == Some(&identity) {
        return Ok(());
    }
    let problems = verify(archive, None, &mut |progress| {
        let percent = progress.done * 100 / progress.total.max(1);
        step.note(&format!("{percent} % of {} MiB", progress.total >> 20));
    });
    if !problems.is_empty() {
        return Err(VerifyError::Damaged { archive: archive.to_owned(), problems });
    }
    if !keep {
        return Ok(());
    }
    let failed = |source| VerifyError::File { path: note.to_owned(), source };
    if let Some(parent) = note.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    fs::write(note, serde_json::to_vec(&identity).expect("it has only text keys")).map_err(failed)
}

fn identity(archive: &Path) -> Result<Verified, VerifyError> {
    let metadata =
        fs::metadata(archive).map_err(|source| VerifyError::File { path: archive.to_owned(), source })?;
    Ok(Verified {
        archive: archive.to_owned(),
        device: metadata.dev(),
        inode: metadata.ino(),
        bytes: metadata.len(),
        modified_nanoseconds: i128::from(metadata.mtime()) * 1_000_000_000
            + i128::from(metadata.mtime_nsec()),
    })
}
