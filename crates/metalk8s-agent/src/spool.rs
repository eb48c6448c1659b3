//! What the agent remembers of jobs over its own end: one file for the job, one for what became of it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    io::{Read, Seek, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use metalk8s_diagnostics::{Code, Diagnose, code_of_io, explain};
use metalk8s_types::fleet::{Job, JobStatus};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::process::Process;

const JOB: &str = "job.json";
const OUTCOME: &str = "outcome.json";
const PROCESS: &str = "process";

/// Jobs on the disk, each in a folder of its name.
#[derive(Debug, Clone)]
pub struct Spool {
    folder: PathBuf,
}

/// Why the disk was of no use.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// A file or folder.
    #[error("could not use `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What is written in it.
    #[error("`{path}` is damaged")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Not what jobs are called.
    #[error("`{0}` is not the name of a job")]
    Name(String),
}

impl Diagnose for SpoolError {
    fn code(&self) -> Option<Code> {
        Some(match self {
            Self::File { source, .. } => code_of_io(source),
            Self::Damaged { .. } => explain::JOURNAL_UNREADABLE,
            Self::Name(_) => explain::WRONG_USAGE,
        })
    }
}

/// What is remembered of a job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Remembered {
    pub(crate) job: Job,
    /// What became of it, as far as anybody has said.
    pub(crate) outcome: Option<JobStatus>,
    /// The process that carries it out, while it lives.
    pub(crate) process: Option<Process>,
}

/// A job that nobody else may begin or conclude.
#[derive(Debug)]
pub(crate) struct Hold {
    file: File,
    path: PathBuf,
}

impl Hold {
    /// Who carried it out before, and has ended.
    pub(crate) fn former(&mut self) -> Option<Process> {
        let mut text = String::new();
        self.file.rewind().and_then(|()| self.file.read_to_string(&mut text)).ok()?;
        parse(&text).filter(|process| !process.is_alive())
    }

    /// Remembers that this process carries it out.
    pub(crate) fn is_run_by(&mut self, process: Process) -> Result<(), SpoolError> {
        let line = format!("{} {}\n", process.pid, process.started);
        let written = self.file.set_len(0).and_then(|()| self.file.rewind());
        let written = written.and_then(|()| self.file.write_all(line.as_bytes()));
        written.map_err(|source| SpoolError::File { path: self.path.clone(), source })
    }
}

impl Spool {
    /// Jobs below this folder, which is made where it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, SpoolError> {
        let folder = folder.into();
        // Results may tell of what only root should know.
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|source| SpoolError::File { path: folder.clone(), source })?;
        Ok(Self { folder })
    }

    /// Jobs that are being carried out: name, job and process.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn running(&self) -> Result<Vec<(String, Job, u32)>, SpoolError> {
        let is_running = |(name, memory): (String, Remembered)| {
            let process = memory.process.filter(|_| memory.outcome.is_none())?;
            Some((name, memory.job, process.pid))
        };
        Ok(self.all()?.into_iter().filter_map(is_running).collect())
    }

    /// Ends the process of a job with all that it started: asked to, or at once where `hard`. Returns the process,
    /// if there is one.
    ///
    /// # Errors
    /// When the name is none, or the process cannot be ended.
    pub fn end(&self, name: &str, hard: bool) -> Result<Option<u32>, SpoolError> {
        let Some(process) = self.get(name)?.and_then(|memory| memory.process) else { return Ok(None) };
        let path = self.folder_of(name)?;
        if hard { process.end() } else { process.ask_to_end() }
            .map_err(|source| SpoolError::File { path, source })?;
        Ok(Some(process.pid))
    }

    /// Everything that is remembered, by name. What is damaged is told in the log and left out.
    pub(crate) fn all(&self) -> Result<BTreeMap<String, Remembered>, SpoolError> {
        let failed = |source| SpoolError::File { path: self.folder.clone(), source };
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            match self.get(&name) {
                Ok(Some(remembered)) => drop(found.insert(name, remembered)),
                Ok(None) => {}
                Err(error) => tracing::warn!(job = name, %error, "a job on the disk cannot be read"),
            }
        }
        Ok(found)
    }

    pub(crate) fn get(&self, name: &str) -> Result<Option<Remembered>, SpoolError> {
        let folder = self.folder_of(name)?;
        let Some(job) = read(&folder.join(JOB))? else { return Ok(None) };
        let process = fs::read_to_string(folder.join(PROCESS)).ok().and_then(|text| parse(&text));
        let process = process.filter(|process| process.is_alive());
        Ok(Some(Remembered { job, outcome: read(&folder.join(OUTCOME))?, process }))
    }

    /// Remembers a job that is about to be begun.
    pub(crate) fn begin(&self, name: &str, job: &Job) -> Result<(), SpoolError> {
        let folder = self.folder_of(name)?;
        fs::create_dir_all(&folder).map_err(|source| SpoolError::File { path: folder.clone(), source })?;
        write(&folder, JOB, job)
    }

    /// The right to say what becomes of a job, until it is dropped; `None` where another process has it. The kernel
    /// takes it from a process that ends, in whatever way.
    pub(crate) fn hold(&self, name: &str) -> Result<Option<Hold>, SpoolError> {
        let path = self.folder_of(name)?.join(PROCESS);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = match file {
            Ok(file) => file,
            Err(source) => return Err(SpoolError::File { path, source }),
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Hold { file, path })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(source) => Err(SpoolError::File { path, source: source.into() }),
        }
    }

    /// Remembers what became of it.
    pub(crate) fn ended(&self, name: &str, outcome: &JobStatus) -> Result<(), SpoolError> {
        write(&self.folder_of(name)?, OUTCOME, outcome)
    }

    /// Forgets it.
    pub(crate) fn forget(&self, name: &str) -> Result<(), SpoolError> {
        let folder = self.folder_of(name)?;
        match fs::remove_dir_all(&folder) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(SpoolError::File { path: folder, source })
            }
            _ => Ok(()),
        }
    }

    fn folder_of(&self, name: &str) -> Result<PathBuf, SpoolError> {
        let is_name = (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_name {
            Ok(self.folder.join(name))
        } else {
            Err(SpoolError::Name(name.chars().take(80).collect()))
        }
    }
}

/// Number and start of a process, as [`Hold::is_run_by`] writes them.
fn parse(text: &str) -> Option<Process> {
    let (pid, started) = text.trim().split_once(' ')?;
    Some(Process { pid: pid.parse().ok()?, started: started.parse().ok()? })
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, SpoolError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| SpoolError::Damaged { path: path.to_owned(), source }),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SpoolError::File { path: path.to_owned(), source }),
    }
}

/// The file is whole or not there, also after a power cut.
fn write(folder: &Path, name: &str, what: &impl Serialize) -> Result<(), SpoolError> {
    let path = folder.join(name);
    let bytes = serde_json::to_vec(what).expect("jobs and outcomes are made of what JSON has");
    let written = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        File::open(folder)?.sync_all()
    };
    written().map_err(|source| SpoolError::File { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::testing::job;

    #[test]
    fn a_job_is_remembered_with_what_became_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path().join("jobs")).unwrap();
        assert_eq!(spool.get("20260101000000000000").unwrap(), None);
        spool.begin("20260101000000000000", &job()).unwrap();
        let own = Process::of(std::process::id()).unwrap();
        spool.hold("20260101000000000000").unwrap().unwrap().is_run_by(own).unwrap();
        let remembered = spool.all().unwrap().remove("20260101000000000000").unwrap();
        assert_eq!(remembered, Remembered { job: job(), outcome: None, process: Some(own) });
        spool.forget("20260101000000000000").unwrap();
        assert!(spool.all().unwrap().is_empty());
    }

    #[test]
    fn a_process_that_ended_is_not_taken_for_another_of_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        spool.begin("1", &job()).unwrap();
        let own = Process::of(std::process::id()).unwrap();
        let other = Process { started: own.started - 1, ..own };
        spool.hold("1").unwrap().unwrap().is_run_by(other).unwrap();
        assert_eq!(spool.get("1").unwrap().unwrap().process, None);
    }

    #[test]
    fn a_job_is_held_by_one_and_free_when_that_one_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        spool.begin("1", &job()).unwrap();
        let own = Process::of(std::process::id()).unwrap();
        let mut first = spool.hold("1").unwrap().unwrap();
        first.is_run_by(own).unwrap();
        assert!(spool.hold("1").unwrap().is_none());
        assert_eq!(spool.get("1").unwrap().unwrap().process, Some(own), "who holds it is not forgotten");
        assert_eq!(first.former(), None, "it lives");
        drop(first);
        let ended = Process { started: own.started - 1, ..own };
        spool.hold("1").unwrap().unwrap().is_run_by(ended).unwrap();
        assert_eq!(spool.hold("1").unwrap().unwrap().former(), Some(ended));
    }

    #[test]
    fn a_name_is_no_path() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path().join("jobs")).unwrap();
        for name in ["../etc", "", "a/b", ".", "a b"] {
            assert!(matches!(spool.begin(name, &job()), Err(SpoolError::Name(_))), "{name}");
        }
    }

    #[test]
    fn a_damaged_file_does_not_hide_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        spool.begin("1", &job()).unwrap();
        spool.begin("2", &job()).unwrap();
        fs::write(folder.path().join("1/job.json"), "{").unwrap();
        assert_eq!(spool.all().unwrap().into_keys().collect::<Vec<_>>(), ["2"]);
    }
}
