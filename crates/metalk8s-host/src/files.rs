//! Files, directories and links.

pub(crate) mod absent;
pub(crate) mod directory;
pub(crate) mod draft;
pub(crate) mod edit;
pub(crate) mod file;
pub(crate) mod owner;
pub(crate) mod symlink;

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

/// Makes a directory and the parents it lacks, each with mode 0755 whatever the umask is.
pub(crate) fn make_directories(path: &Path) -> io::Result<()> {
    match (make_directory(path), path.parent()) {
        (Err(err), Some(parent)) if err.kind() == io::ErrorKind::NotFound => {
            make_directories(parent)?;
            // Once only: /proc answers for ever that something is missing.
            make_directory(path)
        }
        (made, _) => made,
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(0o755)),
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(err) => Err(err),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_that_takes_no_directories_is_an_error() {
        let err = make_directories(Path::new("/proc/nonesuch/x")).unwrap_err();
        assert_eq!(err.kind(), io::ErrorKind::NotFound);
    }
}
