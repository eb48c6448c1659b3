//! The record of a run, one JSON object per line, each written before what comes after it begins.
//!
//! Pure: [`Record::to_line`] makes a line and [`Journal::parse`] reads a file back, with a last line that
//! was torn by a crash. Whoever conducts the run owns the file: appends, syncs, and cuts a torn line off at
//! [`Journal::valid_bytes`] before appending again.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt, str::FromStr};

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::StateId;

/// The version of the lines that this program writes. It reads this one and the one before.
pub const SCHEMA: u32 = 1;

/// The name of a run or a job, in the form of Salt's job ids: 20 digits, the moment it began in UTC down to
/// the microsecond, such as `20261120225119123456`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// A text that is not the name of a run.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not the name of a run, which has 20 digits such as `20261120225119123456`")]
pub struct NotARunId(String);

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// The first line: what is going to be done.
    Run {
        /// [`SCHEMA`] of the writer.
        schema: u32,
        /// The name of this run.
        run: RunId,
        /// What it is, such as `bootstrap`.
        name: String,
        /// The version of the program that began it.
        version: String,
        /// Its steps, in order.
        steps: Vec<String>,
        /// When it began.
        at: Timestamp,
    },
    /// The run goes on after it was ended or killed.
    Resumed {
        /// The version of the program that goes on.
        version: String,
        /// When.
        at: Timestamp,
    },
    /// A step begins.
    StepStarted {
        /// The step.
        step: String,
        /// When.
        at: Timestamp,
    },
    /// A state is about to be changed.
    Changing {
        /// The state.
        state: StateId,
        /// What is done, without secrets.
        summary: String,
        /// When.
        at: Timestamp,
    },
    /// A step has ended.
    StepFinished {
        /// The step.
        step: String,
        /// Whether it is done.
        done: bool,
        /// How many states it changed.
        changes: usize,
        /// Where it failed: the error and its causes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        error: Vec<String>,
        /// When.
        at: Timestamp,
    },
    /// The run has ended.
    RunFinished {
        /// Whether all steps are done.
        done: bool,
        /// When.
        at: Timestamp,
    },
}

/// A journal that was read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    /// The name of the run.
    pub run: RunId,
    /// What it is.
    pub name: String,
    /// The version of the program that began it.
    pub version: String,
    /// Its steps, in order.
    pub steps: Vec<String>,
    /// All lines, the first one included.
    pub records: Vec<Record>,
    /// How many bytes of the file are whole lines; what follows was torn by a crash.
    pub valid_bytes: usize,
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// There is no whole line in it: the run was killed before it did anything.
    #[error("the journal is empty")]
    Empty,
    /// The first line does not begin a run.
    #[error("the journal does not begin with a run")]
    NoRun,
    /// A line before the last one is damaged.
    #[error("line {line} of the journal is damaged")]
    Damaged {
        /// The line, from 1.
        line: usize,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// A newer program wrote it.
    #[error("the journal has version {found}, and this program reads up to {SCHEMA}")]
    Newer {
        /// Its version.
        found: u32,
    },
}

impl RunId {
    /// The name of a run that begins at this moment.
    pub fn at(moment: Timestamp) -> Self {
        let utc = moment.to_zoned(TimeZone::UTC);
        Self(format!("{}{:06}", utc.strftime("%Y%m%d%H%M%S"), utc.subsec_nanosecond() / 1000))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = NotARunId;

    fn from_str(text: &str) -> Result<Self, NotARunId> {
        if text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            // Foreign text: enough of it to recognise.
            Err(NotARunId(text.chars().take(40).collect()))
        }
    }
}

impl TryFrom<String> for RunId {
    type Error = NotARunId;

    fn try_from(text: String) -> Result<Self, NotARunId> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Record {
    /// The line for the file, ended by a line break.
    pub fn to_line(&self) -> String {
        let mut line = serde_json::to_string(self).expect("a record has only string keys");
        line.push('\n');
        line
    }
}

impl Journal {
    /// Reads a journal. A last line that is not ended, or not whole, is left out.
    ///
    /// # Errors
    /// When nothing whole is in it, when a line before the last is damaged, and when a newer program wrote it.
    pub fn parse(bytes: &[u8]) -> Result<Self, JournalError> {
        let mut records = Vec::new();
        let mut valid_bytes = 0;
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').enumerate().peekable();
        while let Some((number, line)) = lines.next() {
            let last = lines.peek().is_none();
            if !line.ends_with(b"\n") {
                break;
            }
            if number == 0 {
                Self::check_schema(line)?;
            }
            match serde_json::from_slice(line) {
                Ok(record) => records.push(record),
                Err(_) if last => break,
                Err(source) => return Err(JournalError::Damaged { line: number + 1, source }),
            }
            valid_bytes += line.len();
        }
        match records.first() {
            Some(Record::Run { schema: _, run, name, version, steps, at: _ }) => Ok(Self {
                run: run.clone(),
                name: name.clone(),
                version: version.clone(),
                steps: steps.clone(),
                records,
                valid_bytes,
            }),
            Some(_) => Err(JournalError::NoRun),
            None => Err(JournalError::Empty),
        }
    }

    /// Looked at before the rest, because a newer line may have other fields.
    fn check_schema(line: &[u8]) -> Result<(), JournalError> {
        #[derive(Deserialize)]
        struct Head {
            schema: u32,
        }
        match serde_json::from_slice::<Head>(line) {
            Ok(Head { schema }) if schema > SCHEMA => Err(JournalError::Newer { found: schema }),
            _ => Ok(()),
        }
    }

    /// Steps that are done.
    pub fn done(&self) -> BTreeSet<&str> {
        let done = |record| match record {
            &Record::StepFinished { ref step, done: true, .. } => Some(step.as_str()),
            _ => None,
        };
        self.records.iter().filter_map(done).collect()
    }

    /// The first step that is not done.
    pub fn next_step(&self) -> Option<&str> {
        let done = self.done();
        self.steps.iter().map(String::as_str).find(|step| !done.contains(step))
    }

    /// Whether the run has ended with all steps done.
    pub fn is_done(&self) -> bool {
        self.records.iter().any(|record| matches!(record, Record::RunFinished { done: true, .. }))
    }

    /// States that were about to be changed in steps that are not done: they may have changed without those
    /// who watch them having reacted. For [`crate::ApplyOptions::changed_before`].
    pub fn unsettled(&self) -> BTreeSet<StateId> {
        let mut unsettled: BTreeSet<StateId> = BTreeSet::new();
        for record in &self.records {
            match record {
                Record::Changing { state, .. } => {
                    unsettled.insert(state.clone());
                }
                Record::StepFinished { done: true, .. } => unsettled.clear(),
                Record::Run { .. }
                | Record::Resumed { .. }
                | Record::StepStarted { .. }
                | Record::StepFinished { .. }
                | Record::RunFinished { .. } => {}
            }
        }
        unsettled
    }
}
