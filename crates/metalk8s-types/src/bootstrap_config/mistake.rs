//! One mistake in a file that a person wrote.

use std::fmt;

/// Longest piece of the file that a message quotes, in characters.
const LONGEST_QUOTE: usize = 60;

/// One mistake, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// What kind of mistake.
    pub code: MistakeCode,
    /// The line, from 1; 0 where it stands in no file, and so is the column.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The key, such as `networks.controlPlane[0]`; empty for the file as a whole.
    pub key: String,
    /// What is wrong, in one line without a full stop.
    pub message: String,
    /// What was found there, shortened.
    pub found: Option<String>,
    /// What would be accepted.
    pub accepted: Option<String>,
}

/// What kind of mistake; the codes are those that `metalk8s explain` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MistakeCode {
    /// Not a text, or not YAML, or YAML that is not accepted here.
    NotYaml,
    /// A mandatory key is missing.
    MissingKey,
    /// A key means nothing here.
    UnknownKey,
    /// A value of the wrong type or form.
    BadValue,
    /// Two ranges overlap.
    Overlap,
    /// Another apiVersion or kind.
    WrongKind,
    /// A path is not absolute.
    RelativePath,
    /// Larger than any configuration.
    TooLarge,
}

impl MistakeCode {
    /// The code as it is printed, such as `MK1105`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotYaml => "MK1102",
            Self::MissingKey => "MK1103",
            Self::UnknownKey => "MK1104",
            Self::BadValue => "MK1105",
            Self::Overlap => "MK1106",
            Self::WrongKind => "MK1107",
            Self::RelativePath => "MK1108",
            Self::TooLarge => "MK1109",
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}, column {}: ", self.code.as_str(), self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "`{}`: ", self.key)?;
        }
        f.write_str(&self.message)?;
        if let Some(found) = &self.found {
            write!(f, "; found {found}")?;
        }
        if let Some(accepted) = &self.accepted {
            write!(f, "; accepted: {accepted}")?;
        }
        Ok(())
    }
}

/// A piece of the file as it may stand in a message: short, on one line, without control characters.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from("`");
    for (count, character) in text.chars().enumerate() {
        if count == LONGEST_QUOTE {
            quoted.push('…');
            break;
        }
        quoted.push(if character.is_control() { '\u{fffd}' } else { character });
    }
    quoted.push('`');
    quoted
}
