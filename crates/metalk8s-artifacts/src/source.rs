//! Where an archive is read from: a folder (mounted, unpacked, or just built), or the ISO file itself.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use walkdir::WalkDir;

use crate::{
    iso::{Iso, IsoError},
    manifest::is_safe_path,
};

const MOST_ENTRIES: usize = 500_000;

/// An archive that was opened.
#[derive(Debug)]
pub enum Source {
    /// A folder.
    Folder(PathBuf),
    /// An ISO file.
    Iso(Iso),
}

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file with its length in bytes.
    File(u64),
    /// A folder.
    Folder,
    /// A link, a device, a socket: nothing that belongs into an archive.
    Other,
}

/// Why an archive could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The archive itself.
    #[error("could not open the archive `{path}`")]
    Open {
        /// The archive.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The ISO's structure.
    #[error("could not read the ISO `{path}`")]
    Iso {
        /// The archive.
        path: PathBuf,
        /// Why.
        #[source]
        source: IsoError,
    },
    /// A file inside.
    #[error("could not read `{path}` of the archive")]
    Read {
        /// Relative to the archive's root.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file inside that is not there.
    #[error("the archive has no file `{0}`")]
    Missing(String),
    /// A file inside that is larger than such a file can be.
    #[error("`{path}` of the archive has {size} bytes, more than {limit}")]
    TooLarge {
        /// Relative to the archive's root.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// The most that is read.
        limit: u64,
    },
    /// More than an archive can hold.
    #[error("the archive has more than {MOST_ENTRIES} entries")]
    TooMany,
}

impl Source {
    /// Opens a folder or an ISO file.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let failed = |source| SourceError::Open { path: path.to_owned(), source };
        let metadata = fs::metadata(path).map_err(failed)?;
        if metadata.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let file = File::open(path).map_err(failed)?;
        Iso::open(file).map(Self::Iso).map_err(|source| SourceError::Iso { path: path.to_owned(), source })
    }

    /// Everything inside, by path relative to the root. Links are not followed.
    pub fn entries(&self) -> Result<BTreeMap<String, Kind>, SourceError> {
        let root = match self {
            Self::Iso(iso) => return Ok(iso.entries().clone()),
            Self::Folder(root) => root,
        };
        let mut entries = BTreeMap::new();
        for entry in WalkDir::new(root).min_depth(1).follow_links(false) {
            let failed = |path: &Path, source| SourceError::Read { path: relative(root, path), source };
            let entry = entry.map_err(|err| {
                let path = err.path().unwrap_or(root).to_owned();
                failed(&path, err.into_io_error().unwrap_or_else(|| io::Error::other("a loop of links")))
            })?;
            let metadata = entry.metadata().map_err(|err| failed(entry.path(), err.into()))?;
            let kind = match metadata.file_type() {
                kind if kind.is_file() => Kind::File(metadata.len()),
                kind if kind.is_dir() => Kind::Folder,
                _ => Kind::Other,
            };
            entries.insert(relative(root, entry.path()), kind);
            if entries.len() > MOST_ENTRIES {
                return Err(SourceError::TooMany);
            }
        }
        Ok(entries)
    }

    /// Opens one regular file for reading from its beginning.
    pub fn open_file(&self, path: &str) -> Result<Box<dyn Read + '_>, SourceError> {
        match self {
            Self::Iso(iso) => match iso.open_file(path) {
                Some(reader) => Ok(Box::new(reader)),
                None => Err(SourceError::Missing(path.to_owned())),
            },
            Self::Folder(root) => {
                let failed = |source| SourceError::Read { path: path.to_owned(), source };
                let full = root.join(path);
                let regular =
                    is_safe_path(path) && fs::symlink_metadata(&full).is_ok_and(|found| found.is_file());
                if !regular {
                    return Err(SourceError::Missing(path.to_owned()));
                }
                Ok(Box::new(File::open(full).map_err(failed)?))
            }
        }
    }

    /// Reads one small file whole; `limit` is the most it may have, in bytes.
    pub fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        let mut bytes = Vec::new();
        self.open_file(path)?
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| SourceError::Read { path: path.to_owned(), source })?;
        if bytes.len() as u64 > limit {
            return Err(SourceError::TooLarge { path: path.to_owned(), size: bytes.len() as u64, limit });
        }
        Ok(bytes)
    }
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}
