//! Why a call did nothing.

use std::error::Error;

use metalk8s_diagnostics::{Code, Diagnose, Hint, Problems, code_of, explain};
use metalk8s_engine::{GraphError, StateError};

use super::FUNCTIONS;

/// Why a function returned nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no such function.
    #[error("the function `{function}` is not known; it may be {near}")]
    UnknownFunction {
        /// The unknown one.
        function: String,
        /// The nearest known ones.
        near: String,
    },
    /// It is left out on purpose.
    #[error("`{function}` is not offered: {why}")]
    Refused {
        /// The function.
        function: &'static str,
        /// Why.
        why: &'static str,
    },
    /// Its words are not those it takes.
    #[error("{message}")]
    Usage {
        /// The function.
        function: &'static str,
        /// What is wrong with them.
        message: String,
    },
    /// The states have mistakes. Nothing was changed.
    #[error("`{function}` was not carried out")]
    Mistakes {
        /// The function.
        function: &'static str,
        /// All of them.
        #[source]
        source: Problems,
    },
    /// The states have no order.
    #[error("the states have no order")]
    Order(#[source] GraphError),
    /// A formula could not be made from the settings of the machine. Nothing was changed.
    #[error("`{name}` was not applied")]
    Formula {
        /// Its name.
        name: &'static str,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The machine did not do it.
    #[error("`{function}` could not be carried out")]
    Failed {
        /// The function.
        function: &'static str,
        /// Why.
        #[source]
        source: StateError,
    },
    /// Facts or settings of the machine could not be read.
    #[error("could not read the {what} of this machine")]
    Machine {
        /// `grains`, `pillar`, `packages` or `interfaces`.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl Diagnose for CallError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::UnknownFunction { .. } | Self::Refused { .. } | Self::Usage { .. } => {
                Some(explain::WRONG_USAGE)
            }
            Self::Order(_) => Some(explain::GRAPH_INVALID),
            Self::Failed { source, .. } => Some(match code_of(source) {
                code if code == explain::UNEXPECTED => explain::STATE_FAILED,
                code => code,
            }),
            Self::Formula { source, .. } | Self::Machine { source, .. } => Some(code_of(source.as_ref())),
            // Each mistake has its own.
            Self::Mistakes { .. } => None,
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::UnknownFunction { .. } | Self::Refused { .. } => {
                vec!["`salt-call sys.doc` says what all functions do".into()]
            }
            Self::Usage { function, .. } => {
                let known = FUNCTIONS.iter().find(|known| known.name == *function);
                let words = known.map_or("", |known| known.words);
                vec![format!("usage: `salt-call {}`", format!("{function} {words}").trim()).into()]
            }
            Self::Mistakes { .. }
            | Self::Order(_)
            | Self::Formula { .. }
            | Self::Failed { .. }
            | Self::Machine { .. } => Vec::new(),
        }
    }
}
