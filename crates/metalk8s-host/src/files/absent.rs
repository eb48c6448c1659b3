//! Paths where nothing is.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use metalk8s_engine::{Change, ChangeKind, StateError, state::Absent};

use crate::{Host, doing::Doing, host::nothing_at, mount};

pub(crate) fn check(host: &Host, wish: &Absent) -> Result<Option<Change>, StateError> {
    if wish.path.parent().is_none() {
        return Err(StateError::new("the whole root directory was asked to go"));
    }
    let real = host.real(&wish.path)?;
    let is_gone = nothing_at(&real)
        || (is_mount(host, wish, &real)? && is_empty(&real).doing(|| could_not("look at", wish))?);
    Ok((!is_gone).then(|| Change::new(ChangeKind::Remove, format!("remove {}", wish.path.display()))))
}

pub(crate) fn apply(host: &Host, wish: &Absent) -> Result<(), StateError> {
    check(host, wish)?;
    let real = host.real(&wish.path)?;
    let removed = if is_mount(host, wish, &real)? { empty(&real) } else { remove(&real) };
    removed.doing(|| could_not("remove", wish))
}

fn could_not(what: &str, wish: &Absent) -> String {
    format!("could not {what} `{}`", wish.path.display())
}

/// Whether somebody mounted something there, such as a disk for etcd: it is emptied, and stays mounted.
fn is_mount(host: &Host, wish: &Absent, real: &Path) -> Result<bool, StateError> {
    let is_other = is_other_file_system(real).doing(|| could_not("look at", wish))?;
    // A folder of the same file system may be mounted as well (`mount --bind`), and can no more be removed.
    Ok(is_other || (real.is_dir() && mount::targets(host)?.contains(&wish.path)))
}

/// Whether it is on another file system than the folder that it is in.
fn is_other_file_system(path: &Path) -> io::Result<bool> {
    let found = fs::symlink_metadata(path)?;
    let Some(parent) = path.parent() else { return Ok(false) };
    Ok(found.is_dir() && found.dev() != fs::symlink_metadata(parent)?.dev())
}

fn is_empty(path: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(path)?.next().is_none())
}

fn remove(path: &Path) -> io::Result<()> {
    if is_other_file_system(path)? {
        return empty(path);
    }
    if fs::symlink_metadata(path)?.is_dir() {
        // Links inside are removed, not followed.
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

fn empty(path: &Path) -> io::Result<()> {
    fs::read_dir(path)?.try_for_each(|entry| remove(&entry?.path()))
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
    async fn a_folder_that_is_mounted_is_emptied_and_stays_though_its_file_system_is_the_same() {
        let lab = Lab::new();
        let bound = "1 1 8:1 / / rw - ext4 /dev/root rw\n2 1 8:1 /data /srv/disk rw - ext4 /dev/root rw\n";
        lab.file("/proc/self/mountinfo", bound);
        for file in ["member/snap/db", "member/wal/0.wal", "lost+found/file"] {
            lab.file(&format!("/srv/disk/{file}"), "");
        }
        lab.settles(&State::Absent(Absent { path: "/srv/disk".into() })).await;
        assert_eq!(lab.names("/srv/disk"), [""; 0]);
    }

    #[test]
    fn a_folder_is_another_file_system_where_its_device_is_another() {
        assert!(is_other_file_system(Path::new("/proc")).unwrap());
        let lab = Lab::new();
        lab.file("/srv/folder/file", "");
        assert!(!is_other_file_system(&lab.path("/srv/folder")).unwrap());
        assert!(!is_other_file_system(&lab.path("/srv/folder/file")).unwrap());
    }

    #[tokio::test]
    async fn the_root_directory_is_never_removed() {
        assert!(Lab::new().check(&State::Absent(Absent { path: "/".into() })).await.is_err());
    }
}
