//! What an error knows besides its message.

use std::{error::Error, fmt, io, iter};

use crate::{Code, Problems, explain};

/// Something a person can do about an error, such as ``free the port: `ss -ltnp` shows who has it``.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint(pub String);

impl<T: Into<String>> From<T> for Hint {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

/// An error that can tell its code and what to do.
pub trait Diagnose: Error {
    /// Its stable code.
    fn code(&self) -> Option<Code> {
        None
    }

    /// What one can do, most likely first; empty rather than vague.
    fn hints(&self) -> Vec<Hint> {
        Vec::new()
    }

    /// Whether it may pass by itself, so that trying again can help.
    fn passes(&self) -> bool {
        false
    }
}

/// An error of any type together with its code and hints, so that they survive in a chain of sources.
///
/// Made by [`DiagnoseExt::diagnose`] or [`Diagnosed::new`]; [`crate::render`] finds it wherever it stands in
/// the chain.
#[derive(Debug)]
pub struct Diagnosed {
    inner: Box<dyn Error + Send + Sync>,
    code: Option<Code>,
    hints: Vec<Hint>,
}

impl Diagnosed {
    /// Keeps the code and hints of an error beside it.
    pub fn new(error: impl Diagnose + Send + Sync + 'static) -> Self {
        Self { code: error.code(), hints: error.hints(), inner: Box::new(error) }
    }

    /// Gives an error, or a plain message, a code.
    pub fn with_code(code: Code, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { code: Some(code), hints: Vec::new(), inner: error.into() }
    }

    /// The same with one more hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Hint>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The stable code.
    pub fn code(&self) -> Option<Code> {
        self.code
    }

    /// What one can do.
    pub fn hints(&self) -> &[Hint] {
        &self.hints
    }

    /// The error itself.
    pub fn inner(&self) -> &(dyn Error + Send + Sync + 'static) {
        self.inner.as_ref()
    }
}

impl fmt::Display for Diagnosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Error for Diagnosed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.inner.source()
    }
}

/// The code of an error: the outermost in its chain, else that of what the system said, else
/// [`explain::UNEXPECTED`]. So no error is without one.
pub fn code_of(error: &(dyn Error + 'static)) -> Code {
    let of_system = || causes(error).find_map(|error| bare(error).downcast_ref().map(code_of_io));
    codes(error).next().or_else(of_system).unwrap_or(explain::UNEXPECTED)
}

/// The codes of an error and of its causes, outermost first.
pub(crate) fn codes(error: &(dyn Error + 'static)) -> impl Iterator<Item = Code> {
    causes(error).filter_map(|error| {
        let problems = bare(error).downcast_ref::<Problems>().and_then(|found| found.problems.first());
        let own = error.downcast_ref::<Diagnosed>().and_then(Diagnosed::code);
        own.or(problems.map(|problem| problem.code))
    })
}

/// An error and its causes.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    iter::successors(Some(error), |error| {
        let error: &'e (dyn Error + 'static) = *error;
        error.source()
    })
}

/// An error without what keeps its code.
fn bare<'e>(error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    match error.downcast_ref::<Diagnosed>() {
        Some(diagnosed) => diagnosed.inner(),
        None => error,
    }
}

/// The code of a file, folder or stream with which something could not be done.
pub fn code_of_io(error: &io::Error) -> Code {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::StorageFull | Kind::QuotaExceeded => explain::DISK_FULL,
        Kind::AddrInUse => explain::PORT_IN_USE,
        Kind::ConnectionRefused | Kind::ConnectionReset | Kind::ConnectionAborted | Kind::TimedOut => {
            explain::UNEXPECTED
        }
        _ => explain::FILE_UNUSABLE,
    }
}

/// Keeps code and hints when an error becomes an `anyhow::Error` or the source of another.
pub trait DiagnoseExt<T> {
    /// The same result, whose error carries its code and hints along.
    ///
    /// # Errors
    /// The error of the result.
    fn diagnose(self) -> Result<T, Diagnosed>;
}

impl<T, E: Diagnose + Send + Sync + 'static> DiagnoseExt<T> for Result<T, E> {
    fn diagnose(self) -> Result<T, Diagnosed> {
        self.map_err(Diagnosed::new)
    }
}
