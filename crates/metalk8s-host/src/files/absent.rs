//! Paths where nothing is.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use metalk8s_engine::{Change, ChangeKind, StateError, state::Absent};

use crate::{Host, doing::Doing, host::nothing_at};

pub(crate) fn check(host: &Host, wish: &Absent) -> Result<Option<Change>, StateError> {
    if wish.path.parent().is_none() {
        return Err(StateError::new("the whole root directory was asked to go"));
    }
    let real = host.real(&wish.path)?;
    let is_gone = nothing_at(&real) || is_empty_mount(&real).doing(|| could_not("look at", wish))?;
    Ok((!is_gone).then(|| Change::new(ChangeKind::Remove, format!("remove {}", wish.path.display()))))
}

pub(crate) fn apply(host: &Host, wish: &Absent) -> Result<(), StateError> {
    check(host, wish)?;
    remove(&host.real(&wish.path)?).doing(|| could_not("remove", wish))
}

fn could_not(what: &str, wish: &Absent) -> String {
    format!("could not {what} `{}`", wish.path.display())
}

/// Whether nothing is in a file system that somebody mounted there, such as a disk for etcd: it stays mounted.
fn is_empty_mount(path: &Path) -> io::Result<bool> {
    Ok(is_mount(path)? && fs::read_dir(path)?.next().is_none())
}

/// Whether it is on another file system than the folder that it is in.
fn is_mount(path: &Path) -> io::Result<bool> {
    let found = fs::symlink_metadata(path)?;
    let Some(parent) = path.parent() else { return Ok(false) };
    Ok(found.is_dir() && found.dev() != fs::symlink_metadata(parent)?.dev())
}

fn remove(path: &Path) -> io::Result<()> {
    if is_mount(path)? {
        return fs::read_dir(path)?.try_for_each(|entry| remove(&entry?.path()));
    }
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

    #[test]
    fn a_folder_is_a_mount_where_its_file_system_is_another() {
        assert!(is_mount(Path::new("/proc")).unwrap());
        let lab = Lab::new();
        lab.file("/srv/folder/file", "");
        assert!(!is_mount(&lab.path("/srv/folder")).unwrap());
        assert!(!is_mount(&lab.path("/srv/folder/file")).unwrap());
    }

    #[tokio::test]
    async fn the_root_directory_is_never_removed() {
        assert!(Lab::new().check(&State::Absent(Absent { path: "/".into() })).await.is_err());
    }
}
