//! Directories.

use std::{fs, io, os::unix::fs::MetadataExt};

use metalk8s_engine::{Change, ChangeKind, StateError, state::Directory};

use super::{
    make_directories,
    owner::{Wished, give},
};
use crate::{Host, doing::Doing};

pub(crate) fn check(host: &Host, wish: &Directory) -> Result<Option<Change>, StateError> {
    let path = wish.path.display();
    // A link to a directory is one: an administrator may have moved it to another disk.
    let found = match fs::metadata(host.real(&wish.path)?) {
        Ok(found) if found.is_dir() => found,
        Ok(_) => return Err(StateError::new(format!("`{path}` is a file, not a directory"))),
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            return Ok(Some(Change::new(ChangeKind::Create, format!("create directory {path}"))));
        }
        Err(err) => return Err(err).doing(|| format!("could not read `{path}`")),
    };
    let differences = wished(wish, Some(&found)).differences(host, &found)?;
    Ok((!differences.is_empty())
        .then(|| Change::new(ChangeKind::Update, format!("change {path}: {}", differences.join(", ")))))
}

pub(crate) fn apply(host: &Host, wish: &Directory) -> Result<(), StateError> {
    let doing = || format!("could not make the directory `{}`", wish.path.display());
    // An unknown owner is told before anything is made.
    wished(wish, None).numbers(host)?;
    let real = host.real(&wish.path)?;
    make_directories(&real).doing(doing)?;
    let directory = fs::File::open(&real).doing(doing)?;
    let found = directory.metadata().doing(doing)?;
    give(&directory, wished(wish, Some(&found)).numbers(host)?).doing(doing)
}

/// A directory whose mode is not wished for keeps the one it has; a new one was made with 0755.
fn wished<'w>(wish: &'w Directory, found: Option<&fs::Metadata>) -> Wished<'w> {
    let mode = wish.mode.or(found.map(MetadataExt::mode)).unwrap_or(0o755);
    Wished { mode, user: wish.user.as_deref(), group: wish.group.as_deref() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use metalk8s_engine::State;

    use super::*;
    use crate::testing::Lab;

    #[tokio::test]
    async fn a_directory_is_made_with_its_parents_and_its_mode() {
        let lab = Lab::new();
        lab.settles(&State::Directory(Directory::new("/var/lib/a/b", 0o700))).await;
        let mode = |path: &str| fs::metadata(lab.path(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("/var/lib/a"), mode("/var/lib/a/b")), (0o755, 0o700));
        lab.settles(&State::Directory(Directory::new("/var/lib/a/b", 0o750))).await;
        assert_eq!(mode("/var/lib/a/b"), 0o750);
    }

    #[tokio::test]
    async fn a_directory_whose_mode_is_not_wished_for_keeps_it() {
        let lab = Lab::new();
        let wish = State::Directory(Directory { mode: None, ..Directory::new("/srv/a", 0) });
        lab.settles(&wish).await;
        let mode = || fs::metadata(lab.path("/srv/a")).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(), 0o755);
        fs::set_permissions(lab.path("/srv/a"), fs::Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(lab.check(&wish).await.unwrap(), None);
        apply(&lab.host, &Directory { mode: None, ..Directory::new("/srv/a", 0) }).unwrap();
        assert_eq!(mode(), 0o1777);
    }

    #[tokio::test]
    async fn a_file_in_its_place_is_an_error_that_names_it() {
        let lab = Lab::new();
        lab.file("/var/lib/a", "");
        let err = check(&lab.host, &Directory::new("/var/lib/a", 0o755)).unwrap_err();
        assert_eq!(err.to_string(), "`/var/lib/a` is a file, not a directory");
    }
}
