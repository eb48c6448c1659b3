//! One run at a time on a machine.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use metalk8s_diagnostics::{Code, Diagnose, Hint, code_of_io, explain};
use rustix::fs::{FlockOperation, flock};
use tokio::time::{Instant, sleep};

/// How often a lock is asked for before it counts as held.
const ATTEMPTS: u32 = 50;
/// The time between two attempts.
const BETWEEN: Duration = Duration::from_millis(20);
/// The same for who waits for a whole run.
const BETWEEN_LONG: Duration = Duration::from_millis(500);

/// A lock that lasts as long as this value; the kernel lets it go when the process ends in any way.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

/// Why a run may not begin.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error("another run is going on: {holder}")]
    Held {
        /// What the holder wrote about itself.
        holder: String,
    },
    /// The file cannot be used.
    #[error("could not lock `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Diagnose for LockError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Held { .. } => Some(explain::ALREADY_RUNNING),
            Self::File { source, .. } => Some(code_of_io(source)),
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Held { .. } => vec!["wait until it has ended, then start the same command again".into()],
            Self::File { .. } => Vec::new(),
        }
    }
}

/// Takes the lock at `path` for `what`, such as `bootstrap`, without waiting.
///
/// # Errors
/// When another process has it, or the file cannot be made.
pub fn lock(path: &Path, what: &str) -> Result<RunLock, LockError> {
    let failed = |source| LockError::File { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
    if !take(&file) {
        let mut holder = String::new();
        // A holder that has not written its name yet is a holder all the same.
        let _ = file.read_to_string(&mut holder);
        return Err(LockError::Held { holder: holder.trim().to_owned() });
    }
    file.set_len(0).map_err(failed)?;
    file.rewind().map_err(failed)?;
    writeln!(file, "{what}, process {}", std::process::id()).map_err(failed)?;
    Ok(RunLock { _file: file })
}

/// Takes the lock at `path` for `what` as soon as it is free, for which the holder has `patience`.
///
/// # Errors
/// When the holder still has it then, or the file cannot be made.
pub async fn lock_within(path: &Path, what: &str, patience: Duration) -> Result<RunLock, LockError> {
    let end = Instant::now() + patience;
    let mut is_told = false;
    loop {
        match lock(path, what) {
            Err(LockError::Held { holder }) if Instant::now() < end => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::info!(holder, "waiting for another run to end");
                }
                sleep(BETWEEN_LONG).await;
            }
            taken => return taken,
        }
    }
}

/// Who has the lock at `path`, in the words it wrote about itself; `None` where nobody has it.
pub fn holder(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    flock(&file, FlockOperation::NonBlockingLockShared).err()?;
    let mut holder = String::new();
    let _ = file.read_to_string(&mut holder);
    Some(holder.trim().to_owned())
}

/// Somebody who only asks for the [`holder`] has it for a moment, too.
fn take(file: &File) -> bool {
    (0..ATTEMPTS).any(|attempt| {
        if attempt > 0 {
            thread::sleep(BETWEEN);
        }
        flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_refused_and_told_who_is_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs/lock");
        let first = lock(&path, "bootstrap").unwrap();
        let error = lock(&path, "bootstrap").unwrap_err();
        assert!(matches!(&error, LockError::Held { holder } if holder.starts_with("bootstrap, process ")));
        drop(first);
        lock(&path, "bootstrap").unwrap();
    }

    #[tokio::test]
    async fn who_has_patience_comes_after_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = lock(&path, "join").unwrap();
        let error = lock_within(&path, "join", Duration::ZERO).await.unwrap_err();
        assert!(matches!(&error, LockError::Held { holder } if holder.starts_with("join, process ")));
        let second = lock_within(&path, "join", Duration::from_secs(600));
        let (taken, ()) = tokio::join!(second, async { drop(first) });
        taken.unwrap();
    }

    #[test]
    fn who_asks_for_the_holder_is_told_and_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert_eq!(holder(&path), None);
        let first = lock(&path, "bootstrap").unwrap();
        assert!(holder(&path).unwrap().starts_with("bootstrap, process "));
        drop(first);
        assert_eq!(holder(&path), None);

        let asking = File::open(&path).unwrap();
        flock(&asking, FlockOperation::NonBlockingLockShared).unwrap();
        let asked = thread::spawn(move || {
            thread::sleep(BETWEEN);
            drop(asking);
        });
        lock(&path, "bootstrap").unwrap();
        asked.join().unwrap();
    }
}
