//! A new file beside the old one, until it is complete.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{OFlags, XattrFlags},
    io::Errno,
};

use super::{
    make_directories,
    owner::{Numbers, give},
};

const SECURITY_CONTEXT: &str = "security.selinux";

/// A file being written, in the directory where it will stand. Dropped, it leaves nothing.
///
/// Its name starts with a dot, so that the kubelet, systemd and apt do not read it half written. It is the
/// same each time, so that what a killed run left is overwritten by the next one.
#[derive(Debug)]
pub(crate) struct Draft {
    file: File,
    path: PathBuf,
    target: PathBuf,
}

/// How a draft is called.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Name {
    /// `.name.metalk8s-new`, which no program that reads a whole directory takes for one of its files.
    Usual,
    /// `.metalk8s-new.name`, with the ending that some programs want of what they judge.
    ForValidation,
}

impl Name {
    /// Where the draft of a file stands.
    pub(crate) fn path(self, target: &Path) -> io::Result<PathBuf> {
        let name = target
            .file_name()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
        let mut hidden = OsString::from(match self {
            Self::Usual => ".",
            Self::ForValidation => ".metalk8s-new.",
        });
        hidden.push(name);
        if let Self::Usual = self {
            hidden.push(".metalk8s-new");
        }
        Ok(target.with_file_name(hidden))
    }

    /// Whether a draft of the usual kind is called so.
    pub(crate) fn is_usual(name: &OsStr) -> bool {
        let name = name.as_bytes();
        name.starts_with(b".") && name.ends_with(b".metalk8s-new")
    }
}

/// Replaces a file by these bytes.
pub(crate) fn replace(target: &Path, bytes: &[u8], numbers: Numbers) -> io::Result<()> {
    let mut draft = Draft::begin(target, Name::Usual)?;
    draft.file().write_all(bytes)?;
    draft.commit(numbers)
}

/// Replaces a file by these bytes; owner and mode stay, and a new file is of root with this mode.
pub(crate) fn replace_keeping(target: &Path, bytes: &[u8], mode_if_new: u32) -> io::Result<()> {
    let mode = match fs::symlink_metadata(target) {
        Ok(found) if found.is_file() => found.mode(),
        _ => mode_if_new,
    };
    replace(target, bytes, Numbers { mode, uid: None, gid: None })
}

impl Draft {
    /// Begins the file that will stand at `target`, a path of the operating system.
    pub(crate) fn begin(target: &Path, name: Name) -> io::Result<Self> {
        let path = name.path(target)?;
        if let Some(parent) = target.parent() {
            make_directories(parent)?;
        }
        match fs::remove_file(&path) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
            _ => {}
        }
        // `create_new` never opens what somebody else put there, link or file.
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { file, path, target: target.to_owned() })
    }

    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Puts it in place. What `numbers` leaves open is taken from the old file, as is its security context.
    ///
    /// A link at the target is replaced, never followed. The directory is not synchronised: a power cut
    /// leaves the old file or the new one, whole, and the next check sees which.
    pub(crate) fn commit(mut self, numbers: Numbers) -> io::Result<()> {
        let old = match fs::symlink_metadata(&self.target) {
            Ok(old) if old.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(old) => Some(old).filter(fs::Metadata::is_file),
            Err(err) if err.kind() == io::ErrorKind::NotFound => None,
            Err(err) => return Err(err),
        };
        let numbers = Numbers {
            uid: numbers.uid.or(old.as_ref().map(MetadataExt::uid)),
            gid: numbers.gid.or(old.as_ref().map(MetadataExt::gid)),
            ..numbers
        };
        if old.is_some() {
            copy_security_context(&self.target, &self.file)?;
        }
        give(&self.file, numbers)?;
        self.file.sync_all()?;
        match fs::rename(&self.path, &self.target) {
            // A file that is itself a mount point, as /etc/hosts in a container, cannot be replaced.
            Err(err) if err.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => self.write_through(numbers),
            result => result,
        }
    }

    fn write_through(&mut self, numbers: Numbers) -> io::Result<()> {
        let mut target = OpenOptions::new()
            .write(true)
            .truncate(true)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&self.target)?;
        self.file.seek(SeekFrom::Start(0))?;
        io::copy(&mut self.file, &mut target)?;
        give(&target, numbers)?;
        target.sync_all()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a commit it has gone already, by its new name.
        let _ = fs::remove_file(&self.path);
    }
}

fn copy_security_context(from: &Path, to: &File) -> io::Result<()> {
    let mut context = [0; 4096];
    let Ok(length) = rustix::fs::lgetxattr(from, SECURITY_CONTEXT, &mut context) else {
        return Ok(());
    };
    match rustix::fs::fsetxattr(to, SECURITY_CONTEXT, &context[..length], XattrFlags::empty()) {
        Err(Errno::NOTSUP) | Ok(()) => Ok(()),
        Err(err) => Err(err.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_link_at_the_target_is_replaced_and_its_aim_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let (aim, link) = (folder.path().join("aim"), folder.path().join("link"));
        fs::write(&aim, "old").unwrap();
        symlink(&aim, &link).unwrap();
        replace(&link, b"new", Numbers { mode: 0o644, uid: None, gid: None }).unwrap();
        assert_eq!(fs::read_to_string(&aim).unwrap(), "old");
        assert!(fs::symlink_metadata(&link).unwrap().is_file());
    }

    #[test]
    fn a_link_planted_in_the_place_of_the_draft_is_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, target) = (folder.path().join("victim"), folder.path().join("file"));
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, Name::Usual.path(&target).unwrap()).unwrap();
        replace(&target, b"new", Numbers { mode: 0o644, uid: None, gid: None }).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }

    #[test]
    fn the_security_context_of_the_old_file_is_that_of_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("file");
        fs::write(&target, "old").unwrap();
        let context = b"system_u:object_r:etc_t:s0\0";
        rustix::fs::setxattr(&target, SECURITY_CONTEXT, context, XattrFlags::empty()).unwrap();
        replace(&target, b"new", Numbers { mode: 0o644, uid: None, gid: None }).unwrap();
        let mut found = [0; 64];
        let length = rustix::fs::getxattr(&target, SECURITY_CONTEXT, &mut found).unwrap();
        assert_eq!((fs::read(&target).unwrap(), &found[..length]), (b"new".to_vec(), &context[..]));
    }

    #[test]
    fn a_draft_that_is_dropped_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("file");
        fs::write(&target, "old").unwrap();
        let mut draft = Draft::begin(&target, Name::Usual).unwrap();
        draft.file().write_all(b"half").unwrap();
        drop(draft);
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn keeping_leaves_the_mode_of_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("file");
        fs::write(&target, "old").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
        replace_keeping(&target, b"new", 0o644).unwrap();
        assert_eq!(fs::metadata(&target).unwrap().mode() & 0o7777, 0o640);
    }

    #[test]
    fn a_directory_at_the_target_is_an_error_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("taken");
        fs::create_dir(&target).unwrap();
        let err = replace(&target, b"new", Numbers::root(0o644)).unwrap_err();
        assert_eq!(err.kind(), io::ErrorKind::IsADirectory);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
