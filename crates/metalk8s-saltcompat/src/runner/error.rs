//! Why a function of the master was not called.

use metalk8s_diagnostics::{Code, Diagnose, Hint, Problems, explain};

use super::RUNNERS;

/// Why a function of the master was not called. Nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// There is no such function.
    #[error("the runner function `{function}` is not known; it may be {near}")]
    Unknown {
        /// The unknown one.
        function: String,
        /// The nearest known ones.
        near: String,
    },
    /// Its words are not those it takes.
    #[error("`{function}` was not called")]
    Words {
        /// The function.
        function: &'static str,
        /// All mistakes.
        #[source]
        source: Problems,
    },
}

impl Diagnose for RunnerError {
    fn code(&self) -> Option<Code> {
        Some(explain::WRONG_USAGE)
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Unknown { .. } => vec!["`salt-run doc.runner` says what all functions do".into()],
            Self::Words { function, .. } => {
                let known = RUNNERS.iter().find(|known| known.name == *function);
                let words = known.map_or("", |known| known.words);
                vec![format!("usage: `salt-run {}`", format!("{function} {words}").trim()).into()]
            }
        }
    }
}
