//! Archives are compared with their signed manifest before anything of them is used.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use metalk8s_artifacts::verify;
use metalk8s_diagnostics::{Code, Diagnose, Hint, RunningStep, code_of_io, explain};
use serde::{Deserialize, Serialize};

/// Where it is kept which archives were compared.
pub(crate) const NOTE: &str = "/var/lib/metalk8s/verified.json";
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
            Self::Damaged { problems, .. } => problems.first().map(code_of_problem),
            Self::File { source, .. } => Some(code_of_io(source)),
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

/// The code of a difference between an archive and what was signed.
pub fn code_of_problem(problem: &metalk8s_artifacts::Problem) -> Code {
    use metalk8s_artifacts::Problem;
    match problem {
        Problem::Unreadable { .. } => explain::ARCHIVE_UNREADABLE,
        Problem::TwoVersions { .. } => explain::ARCHIVE_WRONG_VERSION,
        Problem::BadSignature { .. } | Problem::UnknownKey { .. } => explain::ARCHIVE_SIGNATURE,
        Problem::Missing { .. } | Problem::Extra { .. } | Problem::Size { .. } | Problem::Changed { .. } => {
            explain::ARCHIVE_DAMAGED
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
    let mut known = fs::read(note).map(|bytes| read_note(&bytes)).unwrap_or_default();
    if known.contains(&identity) {
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
    known.retain(|other| other.archive != identity.archive && other.archive.exists());
    known.push(identity);
    let failed = |source| VerifyError::File { path: note.to_owned(), source };
    if let Some(parent) = note.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    fs::write(note, serde_json::to_vec(&known).expect("it has only text keys")).map_err(failed)
}

/// A note that cannot be read knows nothing: the archives are compared again.
fn read_note(bytes: &[u8]) -> Vec<Verified> {
    // When there was one archive only, it stood alone.
    let one = || serde_json::from_slice(bytes).map(|known| vec![known]);
    serde_json::from_slice(bytes).or_else(|_| one()).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use metalk8s_diagnostics::{Progress, ProgressMode};

    use super::*;
    use crate::testing::ArchiveFiles;

    #[test]
    fn several_archives_are_each_compared_once() {
        let files = ArchiveFiles::new();
        let note = files.path("verified.json");
        let archives = ["1.0.0", "2.0.0"].map(|version| files.archive(version, version));
        let step = Progress::to(ProgressMode::Quiet, io::sink()).step("verify");
        for archive in &archives {
            verify_once(archive, &note, true, &step).unwrap();
        }
        let written = fs::read(&note).unwrap();
        assert_eq!(read_note(&written).len(), 2);
        for archive in &archives {
            // A file inside: the folder itself looks as it did.
            fs::write(archive.join("bin/metalk8s"), "damaged").unwrap();
            verify_once(archive, &note, true, &step).unwrap();
        }
        fs::remove_file(&note).unwrap();
        let err = verify_once(&archives[0], &note, true, &step).unwrap_err();
        assert!(err.to_string().contains("bin/metalk8s"), "{err}");
        assert!(!note.exists());
    }

    #[test]
    fn the_note_of_one_archive_alone_is_still_read() {
        let files = ArchiveFiles::new();
        let one = identity(&files.archive("1.0.0", "a")).unwrap();
        assert_eq!(read_note(&serde_json::to_vec(&one).unwrap()), [one]);
        assert_eq!(read_note(b"{"), []);
    }
}
