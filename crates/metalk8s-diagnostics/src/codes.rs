//! The stable name of a mistake.

use std::fmt;

use serde::{Serialize, Serializer};

/// A stable code such as `MK1203`, whose meaning never changes and which is never used again.
///
/// All of them stand in [`mod@crate::explain`], each with its explanation; there is no other way to make one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(&'static str);

impl Code {
    pub(crate) const fn new(code: &'static str) -> Self {
        Self(code)
    }

    /// The code as it is printed.
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// Where more is to be read about it.
    pub fn pointer(self) -> String {
        format!("`metalk8s explain {self}` tells what it means and what to do")
    }

    /// The text with the code at its end, unless it ends with one already.
    pub fn at_end_of(self, text: String) -> String {
        if ends_with_code(&text) { text } else { format!("{text} ({self})") }
    }
}

/// Whether a text ends as one that [`Code::at_end_of`] made.
fn ends_with_code(text: &str) -> bool {
    let digits = text.strip_suffix(')').and_then(|text| text.rsplit_once(" (MK")).map(|(_, digits)| digits);
    digits.is_some_and(|digits| digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_digit()))
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}
