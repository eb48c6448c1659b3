//! Paths where nothing is.

use std::{fs, io, path::Path};

use metalk8s_engine::{Change, ChangeKind, StateError, state::Absent};

use crate::{Host, doing::Doing, host::nothing_at};

pub(crate) fn check(host: &Host, wish: &Absent) -> Result<Option<Change>, StateError> {
    if wish.path.parent().is_none() {
        return Err(StateError::new("the whole root directory was asked to go"));
    }
    Ok((!nothing_at(&host.real(&wish.path)?))
        .then(|| Change::new(ChangeKind::Remove, format!("remove {}", wish.path.display()))))
}

pub(crate) fn apply(host: &Host, wish: &Absent) -> Result<(), StateError> {
    check(host, wish)?;
    remove(&host.real(&wish.path)?).doing(|| format!("could not remove `{}`", wish.path.display()))
}

fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        // Links inside are removed, not followed.
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use metalk8s_engine::State;

    use super::*;
    use crate::testing::Lab;

    #[tokio::test]
    async fn files_links_and_whole_directories_go_but_not_what_links_aim_at() {
        let lab = Lab::new();
        lab.file("/srv/kept/file", "");
        lab.file("/srv/gone/deep/file", "");
        symlink(lab.path("/srv/kept"), lab.path("/srv/gone/link")).unwrap();
        symlink("nowhere", lab.path("/srv/dangling")).unwrap();
        for path in ["/srv/gone", "/srv/dangling"] {
            lab.settles(&State::Absent(Absent { path: path.into() })).await;
        }
        assert!(lab.path("/srv/kept/file").exists());
    }

    #[tokio::test]
    async fn the_root_directory_is_never_removed() {
        assert!(Lab::new().check(&State::Absent(Absent { path: "/".into() })).await.is_err());
    }
}
