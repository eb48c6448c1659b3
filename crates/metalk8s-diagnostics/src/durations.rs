//! How long steps took, for estimates: a folder with a small file for each, which holds the seconds.
//!
//! `scripts/doors/durations` has the same files, for scripts.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long each step took when it last ended well on this computer.
#[derive(Debug, Clone)]
pub struct Durations {
    folder: PathBuf,
    /// In seconds, as they were read.
    known: BTreeMap<String, u64>,
}

impl Durations {
    /// Reads them from this folder. What is missing or unreadable is not known.
    pub fn read(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        let files = fs::read_dir(&folder).into_iter().flatten().flatten();
        let known = files
            .filter_map(|file| Some((file.file_name().into_string().ok()?, seconds(&file.path())?)))
            .collect();
        Self { folder, known }
    }

    /// Seconds that `step` took, else `guess`; never 0.
    pub fn of(&self, step: &str, guess: u64) -> u64 {
        self.known.get(step).copied().unwrap_or(guess).max(1)
    }

    /// Keeps how long a step took, for those who read the folder from now on. That it could not be kept, as
    /// where `step` cannot be the name of a file, is no reason to fail.
    pub fn remember(&self, step: &str, took: Duration) {
        let _ = self.write(step, took.as_secs());
    }

    /// Programs that run beside each other write here: each step has a file of its own, which appears whole.
    fn write(&self, step: &str, seconds: u64) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let draft = self.folder.join(format!(".{step}.new"));
        fs::write(&draft, format!("{seconds}\n"))?;
        fs::rename(&draft, self.folder.join(step))
    }
}

fn seconds(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_step_took_is_known_the_next_time() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("durations/build");
        let durations = Durations::read(&folder);
        assert_eq!(durations.of("iso", 40), 40);
        durations.remember("iso", Duration::from_secs(90));
        durations.remember("iso", Duration::from_millis(7900));
        durations.remember("lint:go", Duration::ZERO);

        let durations = Durations::read(&folder);
        assert_eq!(["iso", "lint:go", "another"].map(|step| durations.of(step, 40)), [7, 1, 40]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "nothing else is left");
    }

    #[test]
    fn what_cannot_be_kept_or_read_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("iso"), "soon\n").unwrap();
        let durations = Durations::read(folder.path());
        durations.remember("not/a/name", Duration::from_secs(7));
        assert_eq!(Durations::read(folder.path()).of("iso", 40), 40);
        assert_eq!(Durations::read(folder.path()).of("not/a/name", 40), 40);

        let durations = Durations::read(folder.path().join("iso"));
        durations.remember("iso", Duration::from_secs(7));
        assert_eq!(fs::read_to_string(folder.path().join("iso")).unwrap(), "soon\n");
    }
}
