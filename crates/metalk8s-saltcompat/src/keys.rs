//! Keys of minions, as `salt-key` lists and changes them.

mod show;
#[cfg(test)]
mod tests;

use std::str::FromStr;

use crate::Glob;

pub use show::{changed, list, no_match, question, told, touched};

/// Names of minions by the state of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keys {
    /// Those that may take jobs.
    pub accepted: Vec<String>,
    /// Those whose key is another than the accepted one.
    pub denied: Vec<String>,
    /// Those that wait.
    pub unaccepted: Vec<String>,
    /// Those that were refused.
    pub rejected: Vec<String>,
}

/// The state of a key, in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStatus {
    /// It may take jobs.
    Accepted,
    /// Another key than the accepted one.
    Denied,
    /// It waits.
    Unaccepted,
    /// It was refused.
    Rejected,
}

/// Which keys are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Listed {
    /// All.
    #[default]
    All,
    /// Those of one state.
    Only(KeyStatus),
}

/// What is done with keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyChange {
    /// Keys that wait may take jobs from now on.
    Accept {
        /// Refused ones too.
        rejected: bool,
        /// Denied ones too.
        denied: bool,
    },
    /// Keys that wait are refused from now on.
    Reject {
        /// Accepted ones too.
        accepted: bool,
        /// Denied ones too.
        denied: bool,
    },
    /// Keys are forgotten, whatever their state is.
    Delete,
}

/// What `salt-key` is asked for; the text is a pattern of names, or several with commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyAction {
    /// Names by state.
    List(Listed),
    /// A change of the keys that fit.
    Change(KeyChange, String),
    /// The keys themselves.
    Print(String),
    /// Their fingerprints.
    Finger(String),
}

impl Default for KeyAction {
    fn default() -> Self {
        Self::List(Listed::All)
    }
}

impl FromStr for Listed {
    type Err = String;

    /// As Salt: the beginning of the word counts.
    fn from_str(text: &str) -> Result<Self, String> {
        let known = [
            ("acc", Self::Only(KeyStatus::Accepted)),
            ("pre", Self::Only(KeyStatus::Unaccepted)),
            ("un", Self::Only(KeyStatus::Unaccepted)),
            ("rej", Self::Only(KeyStatus::Rejected)),
            ("den", Self::Only(KeyStatus::Denied)),
            ("all", Self::All),
        ];
        let found = known.into_iter().find(|(start, _)| text.starts_with(start));
        found.map(|(_, listed)| listed).ok_or_else(|| {
            format!("`{text}` is none of `accepted`, `pre`, `unaccepted`, `rejected`, `denied`, `all`")
        })
    }
}

impl Keys {
    /// Names in the order in which they are shown.
    pub fn by_status(&self) -> [(KeyStatus, &[String]); 4] {
        [
            (KeyStatus::Accepted, &self.accepted),
            (KeyStatus::Denied, &self.denied),
            (KeyStatus::Unaccepted, &self.unaccepted),
            (KeyStatus::Rejected, &self.rejected),
        ]
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_status().iter().all(|(_, names)| names.is_empty())
    }

    /// Those whose names are as the pattern says; commas part several patterns.
    #[must_use]
    pub fn matching(&self, pattern: &str) -> Self {
        let globs: Vec<Glob> = pattern.split(',').map(Glob::new).collect();
        let fit = |names: &[String]| -> Vec<String> {
            let mut found: Vec<String> =
                names.iter().filter(|name| globs.iter().any(|glob| glob.matches(name))).cloned().collect();
            found.sort();
            found
        };
        Self {
            accepted: fit(&self.accepted),
            denied: fit(&self.denied),
            unaccepted: fit(&self.unaccepted),
            rejected: fit(&self.rejected),
        }
    }
}

impl KeyChange {
    /// The keys that are changed, of those whose names are as the pattern says.
    pub fn touches(self, keys: &Keys, pattern: &str) -> Keys {
        let Keys { accepted, denied, unaccepted, rejected } = keys.matching(pattern);
        let when = |wanted: bool, names: Vec<String>| if wanted { names } else { Vec::new() };
        match self {
            Self::Accept { rejected: with_rejected, denied: with_denied } => Keys {
                accepted: Vec::new(),
                denied: when(with_denied, denied),
                unaccepted,
                rejected: when(with_rejected, rejected),
            },
            Self::Reject { accepted: with_accepted, denied: with_denied } => Keys {
                accepted: when(with_accepted, accepted),
                denied: when(with_denied, denied),
                unaccepted,
                rejected: Vec::new(),
            },
            Self::Delete => Keys { accepted, denied, unaccepted, rejected },
        }
    }

    /// Whether an answer to [`question`] means yes. Without a word, only what can be undone is done.
    pub fn is_confirmed(self, answer: &str) -> bool {
        match (answer.trim().to_lowercase().as_str(), self) {
            ("", Self::Accept { .. } | Self::Reject { .. }) => true,
            ("", Self::Delete) => false,
            (answer, _) => answer.starts_with('y'),
        }
    }
}
