//! The store: one folder per key, shared by all clones of the repository on a computer.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use walkdir::WalkDir;

const UNUSED: Duration = Duration::from_secs(30 * 24 * 3600);
const LARGEST: u64 = 20 << 30;

/// Results by key, below `<cache>/store`.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

/// A folder that is being filled; whoever holds it is the only one who fills it.
pub struct Filling {
    _lock: File,
    target: PathBuf,
    folder: PathBuf,
}

impl Store {
    /// Opens the store of a cache folder.
    pub fn open(cache: &Path) -> anyhow::Result<Self> {
        let folder = cache.join("store");
        for part in ["", ".filling", ".locks"] {
            fs::create_dir_all(folder.join(part))
                .with_context(|| format!("could not make the store `{}`", folder.display()))?;
        }
        Ok(Self { folder })
    }

    /// Where the result of `key` is, or would be, below the cache folder `cache`.
    pub fn path(cache: &Path, key: &str) -> PathBuf {
        cache.join("store").join(key)
    }

    /// The result of `key`, when there is one. It counts as used now.
    pub fn get(&self, key: &str) -> Option<PathBuf> {
        let path = self.folder.join(key);
        if !path.is_dir() {
            return None;
        }
        // Only the order of removal depends on this; a read-only cache still works.
        let _ = File::create(self.folder.join(".locks").join(key));
        Some(path)
    }

    /// Waits until nobody else makes `key`; `None` when it is there by then.
    pub fn fill(&self, key: &str) -> anyhow::Result<Option<Filling>> {
        let lock = File::create(self.folder.join(".locks").join(key)).context("could not lock the store")?;
        lock.lock().context("could not lock the store")?;
        let target = self.folder.join(key);
        if target.is_dir() {
            return Ok(None);
        }
        let folder = self.folder.join(".filling").join(key);
        if folder.exists() {
            fs::remove_dir_all(&folder).context("could not remove an unfinished result")?;
        }
        fs::create_dir_all(&folder).context("could not make a folder in the store")?;
        Ok(Some(Filling { _lock: lock, target, folder }))
    }

    /// Removes what nobody used for 30 days, then the longest unused until 20 GiB are left.
    /// What `keep` names is never removed. Gives the number of bytes freed.
    pub fn tidy(&self, keep: &dyn Fn(&str) -> bool) -> anyhow::Result<u64> {
        self.tidy_to(LARGEST, SystemTime::now(), keep)
    }

    fn tidy_to(&self, largest: u64, now: SystemTime, keep: &dyn Fn(&str) -> bool) -> anyhow::Result<u64> {
        let mut results = Vec::new();
        for entry in fs::read_dir(&self.folder).context("could not read the store")? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let used = fs::metadata(self.folder.join(".locks").join(&name))
                .or_else(|_| entry.metadata())?
                .modified()
                .unwrap_or(now);
            results.push((used, size(&entry.path()), name));
        }
        results.sort();
        let mut total: u64 = results.iter().map(|(_, size, _)| size).sum();
        let mut freed = 0;
        for (used, size, name) in results {
            let old = now.duration_since(used).is_ok_and(|age| age > UNUSED);
            if keep(&name) || !(old || total > largest) {
                continue;
            }
            let Ok(lock) = File::create(self.folder.join(".locks").join(&name)) else { continue };
            if lock.try_lock().is_err() {
                continue;
            }
            fs::remove_dir_all(self.folder.join(&name))
                .with_context(|| format!("could not remove `{name}` from the store"))?;
            let _ = fs::remove_file(self.folder.join(".locks").join(&name));
            total -= size;
            freed += size;
        }
        Ok(freed)
    }
}

impl Filling {
    /// The folder to fill.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the filled folder the result.
    pub fn finish(self) -> anyhow::Result<PathBuf> {
        fs::rename(&self.folder, &self.target).context("could not put a result into the store")?;
        Ok(self.target)
    }
}

fn size(path: &Path) -> u64 {
    let files = WalkDir::new(path).into_iter().filter_map(Result::ok);
    files
        .filter_map(|entry| entry.metadata().ok())
        .filter(|found| found.is_file())
        .map(|found| found.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(keys: &[&str]) -> (tempfile::TempDir, Store) {
        let cache = tempfile::tempdir().unwrap();
        let store = Store::open(cache.path()).unwrap();
        for key in keys {
            let filling = store.fill(key).unwrap().unwrap();
            fs::write(filling.folder().join("x"), vec![0; 100]).unwrap();
            filling.finish().unwrap();
        }
        (cache, store)
    }

    #[test]
    fn a_result_appears_only_when_it_is_finished() {
        let (_cache, store) = store(&[]);
        let filling = store.fill("k").unwrap().unwrap();
        assert!(store.get("k").is_none());
        filling.finish().unwrap();
        assert!(store.get("k").is_some());
        assert!(store.fill("k").unwrap().is_none());
    }

    #[test]
    fn what_an_interrupted_build_left_is_not_taken_over() {
        let (_cache, store) = store(&[]);
        let filling = store.fill("k").unwrap().unwrap();
        fs::write(filling.folder().join("half"), "").unwrap();
        drop(filling);
        let again = store.fill("k").unwrap().unwrap();
        assert_eq!(fs::read_dir(again.folder()).unwrap().count(), 0);
    }

    #[test]
    fn a_full_store_loses_what_this_build_does_not_use() {
        let (_cache, store) = store(&["a", "b", "c"]);
        let freed = store.tidy_to(150, SystemTime::now(), &|key| key == "a").unwrap();
        assert_eq!(freed, 200);
        assert!(store.get("a").is_some());
    }

    #[test]
    fn old_results_go_and_used_ones_stay() {
        let (_cache, store) = store(&["a", "b"]);
        let later = SystemTime::now() + UNUSED + Duration::from_secs(60);
        assert_eq!(store.tidy_to(LARGEST, later, &|key| key == "b").unwrap(), 100);
        assert_eq!((store.get("a").is_some(), store.get("b").is_some()), (false, true));
    }
}
