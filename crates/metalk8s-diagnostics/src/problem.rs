//! Independent mistakes, collected so that a person sees all of them at once.

use std::{
    error::Error,
    fmt::{self, Write},
    path::PathBuf,
};

use serde::Serialize;

use crate::{Code, Hint, shortened};

/// One mistake in something a person wrote, or one check that did not pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Its stable code.
    pub code: Code,
    /// What is wrong, in one line without a full stop.
    pub message: String,
    /// What was found there.
    pub found: Option<String>,
    /// What would be accepted.
    pub accepted: Option<String>,
    /// The file it is in.
    pub file: Option<PathBuf>,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The column, from 1.
    pub column: Option<usize>,
    /// The key, such as `networks.controlPlane[0]`.
    pub key: Option<String>,
}

/// One or more mistakes, as an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// What could not be done because of them, such as ``the configuration `x` is not valid``.
    pub doing: String,
    /// The mistakes, in the order of the file.
    pub problems: Vec<Problem>,
    /// What one can do about all of them.
    pub hints: Vec<Hint>,
}

impl Problem {
    /// A mistake whose place is not known yet.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            found: None,
            accepted: None,
            file: None,
            line: None,
            column: None,
            key: None,
        }
    }

    /// What was found there.
    #[must_use]
    pub fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    /// What would be accepted.
    #[must_use]
    pub fn accepted(mut self, accepted: impl Into<String>) -> Self {
        self.accepted = Some(accepted.into());
        self
    }

    /// The file, and the place in it (both from 1).
    #[must_use]
    pub fn at(mut self, file: impl Into<PathBuf>, line: usize, column: usize) -> Self {
        self.file = Some(file.into());
        self.line = Some(line);
        self.column = Some(column);
        self
    }

    /// The file, where there is no place in it.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// The key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The place as `file:line:column`, as far as it is known.
    pub fn place(&self) -> Option<String> {
        let mut place = self.file.as_ref()?.display().to_string();
        for number in [self.line, self.column].into_iter().flatten() {
            write!(place, ":{number}").expect("writing to a string cannot fail");
        }
        Some(place)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place() {
            write!(f, "{place}: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "`{key}`: ")?;
        }
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl Problems {
    /// Gathers mistakes under what could not be done.
    pub fn new(doing: impl Into<String>, problems: Vec<Problem>) -> Self {
        Self { doing: doing.into(), problems, hints: Vec::new() }
    }

    /// `Ok` when there are none.
    ///
    /// # Errors
    /// The mistakes, when there are any.
    pub fn check(doing: impl Into<String>, problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self::new(doing, problems)) }
    }

    /// The first of them in a bounded line without line breaks, for whoever may have sent anything.
    pub fn brief(&self) -> String {
        let shown = |problem: &Problem| shortened(&problem.to_string(), LONGEST);
        let mut told = self.problems.iter().take(BRIEF).map(shown).collect::<Vec<_>>().join("; ");
        if let Some(more) = self.problems.len().checked_sub(BRIEF).filter(|more| *more > 0) {
            told.push_str(&format!("; and {more} more"));
        }
        told
    }

    /// The same with one more hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Hint>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

/// How many mistakes are told in brief, and the longest that each is told, in characters.
const BRIEF: usize = 8;
const LONGEST: usize = 300;

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => write!(f, "{}: 1 mistake", self.doing),
            count => write!(f, "{}: {count} mistakes", self.doing),
        }
    }
}

impl Error for Problems {}
