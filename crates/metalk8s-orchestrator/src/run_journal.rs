//! The journal of a run on disk: every line is on it before what comes after it begins.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use metalk8s_diagnostics::{Code, Diagnose, Hint, code_of_io, explain};
use metalk8s_engine::{
    StateId,
    journal::{Journal, JournalError, Record, RunId},
};
use metalk8s_types::VERSION;

/// Journals of runs of one name that are done and kept, besides the newest.
const KEPT: usize = 20;

/// An open journal.
#[derive(Debug)]
pub struct RunJournal {
    run: RunId,
    file: File,
    resumed: bool,
    unsettled: BTreeSet<StateId>,
}

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenJournalError {
    /// The directory or a file in it.
    #[error("could not open the journals in `{path}`")]
    File {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The journal of the run before.
    #[error("the journal `{path}` cannot be used")]
    Journal {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: JournalError,
    },
}

impl Diagnose for OpenJournalError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::File { source, .. } => Some(code_of_io(source)),
            Self::Journal { .. } => Some(explain::JOURNAL_UNREADABLE),
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::File { .. } => Vec::new(),
            Self::Journal { path, .. } => vec![Hint(format!(
                "move `{}` away; steps that are done will find nothing to change",
                path.display()
            ))],
        }
    }
}

impl RunJournal {
    /// Goes on with the newest run called `name` if it was not finished, else begins a new one.
    ///
    /// The caller holds the lock of [`crate::lock`]: there is one writer.
    ///
    /// # Errors
    /// When a file cannot be read or written, or the journal of the unfinished run is damaged.
    pub fn open(directory: &Path, name: &str, steps: &[&str]) -> Result<Self, OpenJournalError> {
        let failed = |source| OpenJournalError::File { path: directory.to_owned(), source };
        fs::create_dir_all(directory).map_err(failed)?;
        let mut files = journals(directory).map_err(failed)?;
        while let Some((run, path)) = files.pop() {
            let bytes = fs::read(&path).map_err(failed)?;
            match Journal::parse(&bytes) {
                Ok(journal) if journal.name != name => {}
                Ok(journal) if journal.is_done() => break,
                Ok(journal) => {
                    let resumed = Self::resume(run, &path, &journal).map_err(failed)?;
                    return Ok(resumed);
                }
                Err(JournalError::Empty) => fs::remove_file(&path).map_err(failed)?,
                Err(source) => return Err(OpenJournalError::Journal { path, source }),
            }
        }
        Self::create(directory, name, steps).map_err(failed)
    }

    /// Begins a new run, whatever became of the one before: for procedures whose next call may be about
    /// something else.
    ///
    /// The caller holds the lock of [`crate::lock`]: there is one writer.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn begin(directory: &Path, name: &str, steps: &[&str]) -> Result<Self, OpenJournalError> {
        fs::create_dir_all(directory)
            .and_then(|()| Self::create(directory, name, steps))
            .map_err(|source| OpenJournalError::File { path: directory.to_owned(), source })
    }

    fn create(directory: &Path, name: &str, steps: &[&str]) -> io::Result<Self> {
        let of_name = |path: &Path| fs::read(path).is_ok_and(|bytes| is_called(&bytes, name));
        let old = journals(directory)?.into_iter().rev().filter(|(_, path)| of_name(path));
        for (_, path) in old.skip(KEPT) {
            fs::remove_file(path)?;
        }
        let now = Timestamp::now();
        let run = RunId::at(now);
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(directory.join(format!("{run}.jsonl")))?;
        File::open(directory)?.sync_all()?;
        let mut journal = Self { run: run.clone(), file, resumed: false, unsettled: BTreeSet::new() };
        journal.write(&Record::Run {
            schema: metalk8s_engine::journal::SCHEMA,
            run,
            name: name.to_owned(),
            version: VERSION.to_owned(),
            steps: steps.iter().map(|step| (*step).to_owned()).collect(),
            at: now,
        })?;
        Ok(journal)
    }

    fn resume(run: RunId, path: &Path, journal: &Journal) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).open(path)?;
        // A line torn by a crash must not become the beginning of the next one.
        file.set_len(journal.valid_bytes as u64)?;
        let mut resumed = Self { run, file, resumed: true, unsettled: journal.unsettled() };
        resumed.write(&Record::Resumed { version: VERSION.to_owned(), at: Timestamp::now() })?;
        Ok(resumed)
    }

    /// The name of the run.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Whether it goes on with a run that did not finish.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// States that an interrupted run may have changed: whoever watches them must react.
    pub fn unsettled(&self) -> &BTreeSet<StateId> {
        &self.unsettled
    }

    /// A step begins.
    ///
    /// # Errors
    /// When the line cannot be brought to the disk.
    pub fn step_started(&mut self, step: &str) -> io::Result<()> {
        self.write(&Record::StepStarted { step: step.to_owned(), at: Timestamp::now() })
    }

    /// A state is about to be changed.
    ///
    /// # Errors
    /// When the line cannot be brought to the disk.
    pub fn changing(&mut self, state: &StateId, summary: &str) -> io::Result<()> {
        self.write(&Record::Changing {
            state: state.clone(),
            summary: summary.to_owned(),
            at: Timestamp::now(),
        })
    }

    /// A step has ended; `error` is empty when it is done.
    ///
    /// # Errors
    /// When the line cannot be brought to the disk.
    pub fn step_finished(&mut self, step: &str, changes: usize, error: Vec<String>) -> io::Result<()> {
        if error.is_empty() {
            self.unsettled.clear();
        }
        self.write(&Record::StepFinished {
            step: step.to_owned(),
            done: error.is_empty(),
            changes,
            error,
            at: Timestamp::now(),
        })
    }

    /// All steps are done.
    ///
    /// # Errors
    /// When the line cannot be brought to the disk.
    pub fn run_finished(&mut self) -> io::Result<()> {
        self.write(&Record::RunFinished { done: true, at: Timestamp::now() })
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        self.file.write_all(record.to_line().as_bytes())?;
        self.file.sync_data()
    }
}

/// States that the newest run of this name has changed without whoever watches them having reacted: it was
/// interrupted, or failed. None where it was finished, or cannot be read.
pub(crate) fn unsettled(directory: &Path, name: &str) -> BTreeSet<StateId> {
    let journal = |path: PathBuf| fs::read(path).ok().and_then(|bytes| Journal::parse(&bytes).ok());
    let newest = journals(directory).unwrap_or_default().into_iter().rev();
    let newest = newest.filter_map(|(_, path)| journal(path)).find(|journal| journal.name == name);
    newest.filter(|journal| !journal.is_done()).map(|journal| journal.unsettled()).unwrap_or_default()
}

/// Whether a run called `name` was ever begun here. A journal that cannot be read may be of one.
pub(crate) fn was_begun(directory: &Path, name: &str) -> bool {
    let may_be = |path: &Path| {
        let journal = fs::read(path).ok().and_then(|bytes| Journal::parse(&bytes).ok());
        journal.is_none_or(|journal| journal.name == name)
    };
    journals(directory).is_ok_and(|runs| runs.iter().any(|(_, path)| may_be(path)))
}

fn is_called(bytes: &[u8], name: &str) -> bool {
    Journal::parse(bytes).is_ok_and(|journal| journal.name == name)
}

/// All journals, oldest first.
pub fn journals(directory: &Path) -> io::Result<Vec<(RunId, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".jsonl"));
        if let Some(Ok(run)) = name.map(str::parse::<RunId>) {
            found.push((run, path));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_was_killed_is_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = RunJournal::open(folder.path(), "bootstrap", &["a", "b"]).unwrap();
        first.step_started("a").unwrap();
        first.file.write_all(b"{\"record\":\"ste").unwrap();
        let second = RunJournal::open(folder.path(), "bootstrap", &["a", "b"]).unwrap();
        assert!(second.is_resumed() && !first.is_resumed());
        assert_eq!(first.run(), second.run());
        let (_, path) = journals(folder.path()).unwrap().remove(0);
        let journal = Journal::parse(&fs::read(path).unwrap()).unwrap();
        assert!(matches!(journal.records.last(), Some(Record::Resumed { .. })), "{:?}", journal.records);
    }

    #[test]
    fn a_finished_run_is_followed_by_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = RunJournal::open(folder.path(), "bootstrap", &["a"]).unwrap();
        first.run_finished().unwrap();
        let second = RunJournal::open(folder.path(), "bootstrap", &["a"]).unwrap();
        assert!(!second.is_resumed());
        assert_ne!(first.run(), second.run());
    }

    #[test]
    fn a_run_killed_before_its_first_line_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("20261120225119123456.jsonl"), "").unwrap();
        RunJournal::open(folder.path(), "bootstrap", &["a"]).unwrap();
        assert_eq!(journals(folder.path()).unwrap().len(), 1);
    }

    #[test]
    fn old_journals_go() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..KEPT + 5 {
            RunJournal::open(folder.path(), "bootstrap", &["a"]).unwrap().run_finished().unwrap();
        }
        assert_eq!(journals(folder.path()).unwrap().len(), KEPT + 1);
    }

    #[test]
    fn runs_of_another_name_do_not_push_out_the_last_bootstrap() {
        let folder = tempfile::tempdir().unwrap();
        RunJournal::open(folder.path(), "bootstrap", &["a"]).unwrap().run_finished().unwrap();
        assert!(!was_begun(folder.path(), "archives"));
        for _ in 0..KEPT + 5 {
            RunJournal::begin(folder.path(), "archives", &["a"]).unwrap();
        }
        assert!(was_begun(folder.path(), "bootstrap") && was_begun(folder.path(), "archives"));
        assert_eq!(journals(folder.path()).unwrap().len(), KEPT + 2);
    }
}
