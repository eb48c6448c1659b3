//! The hands that see to it that there is a backup.

use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
};

use async_trait::async_trait;
use metalk8s_diagnostics::Diagnose as _;
use metalk8s_engine::{Change, ChangeKind, Hands, State, StateError, state::Backup};

use super::{BackupError, Place, content, make, newest, tarball};

/// Takes the state `Backup`, for the machine that it runs on.
#[derive(Debug, Default)]
pub struct Keeper;

#[async_trait]
impl Hands for Keeper {
    fn takes(&self, state: &State) -> bool {
        matches!(state, State::Backup(_))
    }

    async fn check(&self, state: &State) -> Result<Option<Change>, StateError> {
        let wish = ours(state)?;
        let due = tokio::task::block_in_place(|| due(wish, Path::new("/")));
        due.map_err(|error| StateError::new("could not compare the newest backup").because(error))
    }

    async fn apply(&self, state: &State, _: &Change) -> Result<Change, StateError> {
        let wish = ours(state)?;
        match make(Place::Folder(&wish.folder), &wish.version).await {
            Ok(made) => Ok(Change::new(ChangeKind::Create, format!("make {}", made.file.display()))),
            Err(error) => {
                let passes = error.passes();
                let doing = format!("could not make a backup in `{}`", wish.folder.display());
                let error = StateError::new(doing).because(error);
                Err(if passes { error.retryable() } else { error })
            }
        }
    }

    async fn react(&self, state: &State) -> Result<Option<Change>, StateError> {
        ours(state).map(|_| None)
    }
}

fn ours(state: &State) -> Result<&Backup, StateError> {
    match state {
        State::Backup(wish) => Ok(wish),
        _ => Err(StateError::new("this state is not about a backup")),
    }
}

/// Why a backup is to be made of the machine with this root; `None` where the newest has what the machine has.
fn due(wish: &Backup, root: &Path) -> Result<Option<Change>, BackupError> {
    let folder = wish.folder.display();
    let make = |why: &str| Some(Change::new(ChangeKind::Create, format!("make a backup in {folder}{why}")));
    let failed = |source| BackupError::File { path: wish.folder.clone(), source };
    let Some(newest) = newest(&wish.folder).map_err(failed)? else { return Ok(make("")) };
    let sums = tarball::sums(&content::collect(root)?);
    let name = newest.display();
    Ok(match sums_of(&newest) {
        Ok(known) if content::lasting(&known) == content::lasting(&sums) => None,
        Ok(_) => make(&format!(", as {name} has another configuration or other keys")),
        Err(error) => make(&format!(", as {name} cannot be read: {error}")),
    })
}

fn sums_of(backup: &Path) -> io::Result<String> {
    tarball::read_sums(BufReader::new(File::open(backup)?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::backup::tests;

    fn told(wish: &Backup, root: &Path) -> Option<String> {
        due(wish, root)
            .unwrap()
            .map(|change| change.summary.replace(&*wish.folder.to_string_lossy(), "FOLDER"))
    }

    #[test]
    fn a_backup_is_due_until_there_is_one_and_when_the_configuration_has_changed() {
        let (machine, place) = (tests::machine(), tempfile::tempdir().unwrap());
        let wish = Backup { folder: place.path().to_owned(), version: "1.2.3".to_owned() };
        assert_eq!(told(&wish, machine.path()).unwrap(), "make a backup in FOLDER");
        let file = place.path().join("backup_20261129_010203.tar.gz");
        tests::made(machine.path(), &file).unwrap();
        assert_eq!(told(&wish, machine.path()), None);
        fs::write(machine.path().join("etc/metalk8s/agent.conf"), "another").unwrap();
        assert_eq!(told(&wish, machine.path()), None);

        fs::write(machine.path().join("etc/metalk8s/bootstrap.yaml"), "another").unwrap();
        let why = told(&wish, machine.path()).unwrap();
        assert!(why.ends_with("_010203.tar.gz has another configuration or other keys"), "{why}");
        for damaged in [&b"no backup"[..], b"", &fs::read(&file).unwrap()[..60]] {
            fs::write(&file, damaged).unwrap();
            let why = told(&wish, machine.path()).unwrap();
            assert!(why.contains("_010203.tar.gz cannot be read: "), "{why}");
        }
    }
}
