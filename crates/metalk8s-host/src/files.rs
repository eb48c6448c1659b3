//! Files, directories and links.

pub(crate) mod absent;
pub(crate) mod directory;
pub(crate) mod draft;
pub(crate) mod file;
pub(crate) mod owner;
pub(crate) mod symlink;

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

/// Makes a directory and the parents it lacks, each with mode 0755 whatever the umask is.
pub(crate) fn make_directories(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(0o755)),
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            make_directories(path.parent().ok_or(err)?)?;
            make_directories(path)
        }
        Err(err) => Err(err),
    }
}
