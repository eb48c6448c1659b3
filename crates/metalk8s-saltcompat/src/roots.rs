//! Where SLS files and `salt://` sources come from.

use std::{collections::BTreeMap, io, path::PathBuf};

/// Folders that hold SLS files and the sources of files, in the order they are looked through.
pub trait FileRoots {
    /// The file at this path below the first root that has it; `None` where no root has it.
    ///
    /// The path is relative, has forward slashes and no `..`; but a root may hold links, and following them
    /// is up to the roots. A file of more than `limit` bytes is an error of kind
    /// [`io::ErrorKind::FileTooLarge`].
    ///
    /// # Errors
    /// When there is such a file and it cannot be read.
    fn read(&self, path: &str, limit: usize) -> io::Result<Option<Found>>;

    /// Where on the host the file at this path is, however large it is; else as [`Self::read`].
    ///
    /// # Errors
    /// When the roots cannot be searched.
    fn find(&self, path: &str) -> io::Result<Option<PathBuf>>;

    /// What they are called in messages.
    fn called(&self) -> String {
        "the file roots".to_owned()
    }
}

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Where it is on the host, for messages and for copying.
    pub path: PathBuf,
}

/// Files in memory, by path.
impl FileRoots for BTreeMap<String, Vec<u8>> {
    fn read(&self, path: &str, limit: usize) -> io::Result<Option<Found>> {
        match self.get(path) {
            Some(bytes) if bytes.len() > limit => Err(io::ErrorKind::FileTooLarge.into()),
            Some(bytes) => Ok(Some(Found { bytes: bytes.clone(), path: path.into() })),
            None => Ok(None),
        }
    }

    fn find(&self, path: &str) -> io::Result<Option<PathBuf>> {
        Ok(self.contains_key(path).then(|| path.into()))
    }
}

/// Whether a path stays below the root it is looked for in.
pub(crate) fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(['\0', '\\'])
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}
