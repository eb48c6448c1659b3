//! One transaction of packages at a time, also after the run that began one was killed.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

use metalk8s_engine::StateError;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use tokio::time::{Instant, sleep};

use crate::{
    Host,
    doing::Doing,
    files::make_directories,
    program::{Program, ProgramError},
};

const LOCK: &str = "/var/lib/metalk8s/packages.lock";
/// Longer than an orphaned transaction takes. A daemon that a package started may hold the lock for ever:
/// then the lock of the package manager itself must do.
const PATIENCE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(100);

/// The right to run the package manager.
///
/// The lock is an open file that becomes the standard input of each transaction. So it is held as long as
/// one of them lives: where a run is killed, its apt goes on alone, and the next run waits for it instead of
/// finding packages half unpacked and lists half read.
pub(super) struct Turn {
    lock: File,
}

impl Turn {
    /// Waits for the right.
    pub(super) async fn wait(host: &Host) -> Result<Self, StateError> {
        let doing = || format!("could not lock `{LOCK}`");
        let path = host.real(Path::new(LOCK))?;
        make_directories(path.parent().expect("the lock is in a directory")).doing(doing)?;
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .doing(doing)?;
        let end = Instant::now() + PATIENCE;
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { lock }),
                Err(Errno::WOULDBLOCK) if Instant::now() < end => sleep(PAUSE).await,
                Err(Errno::WOULDBLOCK) => {
                    tracing::warn!(
                        lock = LOCK,
                        "the lock of package transactions was not given back, going on without"
                    );
                    return Ok(Self { lock });
                }
                Err(err) => return Err(err).doing(doing),
            }
        }
    }

    /// Gives the lock to a program, which then also outlives us.
    pub(super) fn hand_to(&self, program: Program) -> Result<Program, ProgramError> {
        let input = self.lock.try_clone().map_err(|source| ProgramError::Input { source })?;
        Ok(program.input(input).left_alone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Lab;

    #[tokio::test]
    async fn a_transaction_holds_the_lock_as_long_as_it_lives() {
        let lab = Lab::new();
        lab.file("/go", "");
        lab.program(
            "apt-get",
            r#"touch "$ROOT/began"; while test -e "$ROOT/go"; do sleep 0.01; done; touch "$ROOT/done""#,
        );
        let turn = Turn::wait(&lab.host).await.unwrap();
        let run = turn.hand_to(lab.host.program("apt-get")).unwrap().run();
        let next = async {
            while !lab.path("/began").exists() {
                tokio::task::yield_now().await;
            }
            // The run is gone, its transaction is not.
            drop(turn);
            let mut waiting = std::pin::pin!(Turn::wait(&lab.host));
            assert!(tokio::time::timeout(PAUSE, &mut waiting).await.is_err());
            std::fs::remove_file(lab.path("/go")).unwrap();
            waiting.await.unwrap();
            assert!(lab.path("/done").exists());
        };
        let (run, ()) = tokio::join!(run, next);
        run.unwrap();
    }
}
