use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// A folder with one of these is an archive.
const MARKERS: [&str; 2] = ["product.txt", "manifest.json"];

/// A file of an archive, ready to be sent.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) size: u64,
    pub(super) inode: u64,
    pub(super) modified: Option<SystemTime>,
}

/// Why there is no file to send.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("there is no such file in the archive")]
    Absent,
    #[error("could not open `{path}`")]
    Failed {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Opens the folder of an archive. Its name comes from a client.
pub(super) fn open_archive(root: &Path, environment: &str) -> Result<OwnedFd, OpenError> {
    if environment.is_empty() || environment.starts_with('.') || environment.contains(['/', '\0']) {
        return Err(OpenError::Absent);
    }
    let path = root.join(environment);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(CWD, &path, flags, Mode::empty()).map_err(|err| sort(err, &path))?;
    let is_archive = MARKERS.iter().any(|marker| {
        rustix::fs::statat(&folder, *marker, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::RegularFile)
    });
    if is_archive { Ok(folder) } else { Err(OpenError::Absent) }
}

/// Opens a regular file below `<root>/<environment>`. The kernel itself refuses to leave that folder, by `..`
/// or by a symbolic link, even while somebody changes it.
pub(super) fn open_file(root: &Path, environment: &str, relative: &str) -> Result<Opened, OpenError> {
    let folder = open_archive(root, environment)?;
    let path = root.join(environment).join(relative);
    // NONBLOCK: a fifo must not hold us up before we have seen that it is one.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let opened = match rustix::fs::openat2(&folder, relative, flags, Mode::empty(), resolve) {
        // Linux before 5.6 (EL 8), and container runtimes that do not know the call.
        Err(Errno::NOSYS | Errno::PERM) => open_by_walking(folder, relative, flags),
        done => done,
    };
    let file = File::from(opened.map_err(|err| sort(err, &path))?);
    let metadata = match file.metadata() {
        Ok(metadata) if metadata.is_file() => metadata,
        Ok(_) => return Err(OpenError::Absent),
        Err(source) => return Err(OpenError::Failed { path, source }),
    };
    Ok(Opened { size: metadata.len(), inode: metadata.ino(), modified: metadata.modified().ok(), file, path })
}

/// The same without openat2: folder by folder, and no symbolic link at all.
fn open_by_walking(mut folder: OwnedFd, relative: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let (parents, name) = relative.rsplit_once('/').unwrap_or(("", relative));
    for parent in parents.split('/').filter(|parent| !parent.is_empty()) {
        if parent == ".." {
            return Err(Errno::XDEV);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        folder = rustix::fs::openat(folder.as_fd(), parent, flags, Mode::empty())?;
    }
    if name == ".." {
        return Err(Errno::XDEV);
    }
    rustix::fs::openat(&folder, name, flags | OFlags::NOFOLLOW, Mode::empty())
}

/// What a client may cause by the name it sends means "absent"; the rest is a fault of ours or of the disk.
fn sort(err: Errno, path: &Path) -> OpenError {
    match err {
        Errno::NOENT
        | Errno::NOTDIR
        | Errno::ISDIR
        | Errno::LOOP
        | Errno::XDEV
        | Errno::NAMETOOLONG
        | Errno::INVAL
        | Errno::NXIO => OpenError::Absent,
        err => OpenError::Failed { path: path.to_owned(), source: err.into() },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let archive = root.path().join("metalk8s-1");
        std::fs::create_dir_all(archive.join("packages/deep")).unwrap();
        std::fs::write(archive.join("product.txt"), "NAME=MetalK8s\n").unwrap();
        std::fs::write(archive.join("packages/deep/a.deb"), "deb").unwrap();
        std::fs::write(root.path().join("secret"), "secret").unwrap();
        symlink("deep/a.deb", archive.join("packages/inside")).unwrap();
        symlink("../../secret", archive.join("packages/outside")).unwrap();
        symlink("/", archive.join("packages/slash")).unwrap();
        symlink("metalk8s-1", root.path().join("alias")).unwrap();
        std::fs::create_dir_all(root.path().join("other/packages")).unwrap();
        std::fs::write(root.path().join("other/packages/a"), "a").unwrap();
        root
    }

    #[test]
    fn files_and_links_within_the_archive_are_opened() {
        let root = root();
        for path in ["packages/deep/a.deb", "packages/inside"] {
            assert_eq!(open_file(root.path(), "metalk8s-1", path).unwrap().size, 3, "{path}");
        }
    }

    #[test]
    fn nothing_outside_the_archive_is_opened() {
        let root = root();
        for path in [
            "packages/outside",
            "packages/slash/etc/hostname",
            "../secret",
            "packages/../../secret",
            "/etc/hostname",
            "packages/deep",
            "packages/deep/a.deb/",
            "packages/none",
        ] {
            let opened = open_file(root.path(), "metalk8s-1", path);
            assert!(matches!(opened, Err(OpenError::Absent)), "{path}: {opened:?}");
        }
    }

    #[test]
    fn only_a_marked_folder_of_the_root_is_an_archive() {
        let root = root();
        for name in ["other", "alias", "secret", "..", ".", "", "none", "metalk8s-1/packages"] {
            assert!(matches!(open_archive(root.path(), name), Err(OpenError::Absent)), "{name}");
        }
        assert!(open_archive(root.path(), "metalk8s-1").is_ok());
    }

    #[test]
    fn a_fifo_is_absent_and_holds_nobody_up() {
        let root = root();
        let fifo = root.path().join("metalk8s-1/fifo");
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(matches!(open_file(root.path(), "metalk8s-1", "fifo"), Err(OpenError::Absent)));
    }

    #[test]
    fn without_openat2_no_link_is_followed_and_nothing_outside_is_opened() {
        let root = root();
        let open = |path: &str| {
            let folder = open_archive(root.path(), "metalk8s-1").unwrap();
            open_by_walking(folder, path, OFlags::RDONLY | OFlags::CLOEXEC)
        };
        assert!(open("packages/deep/a.deb").is_ok());
        for path in ["packages/inside", "packages/outside", "packages/slash/etc/hostname", "../secret", ".."]
        {
            assert!(open(path).is_err(), "{path}");
        }
    }
}
