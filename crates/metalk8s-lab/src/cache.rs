//! The folder that outlives checkouts, so that a fresh clone on the same computer starts warm.

use std::{
    env,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// The folder of the build chain, as [`metalk8s_types::cache_folder`] finds it.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// None of the variables is there.
    #[error("neither METALK8S_CACHE, XDG_CACHE_HOME nor HOME says where the cache is")]
    NoHome,
    /// A folder or file of it could not be made.
    #[error("could not write `{path}`")]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A lock could not be had.
    #[error("could not lock `{path}`")]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Held until it is dropped, or until this process ends in whatever way.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Cache {
    /// The cache of the user who runs this.
    pub fn of_this_user() -> Result<Self, CacheError> {
        let root = metalk8s_types::cache_folder(|name| env::var_os(name));
        Ok(Self { root: root.ok_or(CacheError::NoHome)? })
    }

    /// A cache at another place.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// A folder of the cache, made if it is missing.
    pub fn folder(&self, name: &str) -> Result<PathBuf, CacheError> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).map_err(|source| CacheError::Write { path: path.clone(), source })?;
        Ok(path)
    }

    /// Writes a file of the cache whole or not at all, and gives its path.
    pub fn write(&self, folder: &str, name: &str, contents: &str) -> Result<PathBuf, CacheError> {
        let folder = self.folder(folder)?;
        let path = folder.join(name);
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            io::Write::write_all(&mut file, contents.as_bytes())?;
            file.persist(&path).map_err(|failed| failed.error)?;
            Ok(())
        };
        write().map_err(|source| CacheError::Write { path: path.clone(), source })?;
        Ok(path)
    }

    /// Waits until nobody else holds the lock of this name, calling `busy` once if it must wait.
    pub fn lock(&self, name: &str, busy: impl FnOnce(&Path)) -> Result<Lock, CacheError> {
        let path = self.folder("locks")?.join(name);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|source| CacheError::Write { path: path.clone(), source })?;
        if file.try_lock().is_err() {
            busy(&path);
            file.lock().map_err(|source| CacheError::Lock { path, source })?;
        }
        Ok(Lock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_file_replaces_the_former_one() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        cache.write("lab", "conf", "one").unwrap();
        let path = cache.write("lab", "conf", "two").unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "two");
        assert_eq!(fs::read_dir(folder.path().join("lab")).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn a_lock_is_free_again_once_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        drop(cache.lock("one", |_| panic!("nobody holds it")).unwrap());
        let again = cache.lock("one", |_| panic!("it was given back"));
        assert!(again.is_ok());
    }
}
