//! Indentation of JSON, with the blanks that Python writes.

use std::io;

use serde::Serialize;
use serde_json::{
    Serializer, Value,
    ser::{Formatter, PrettyFormatter},
};

/// Indentation of JSON (`--out-indent`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indent {
    /// Everything on a line.
    Line,
    /// A line for each value, indented by so many blanks.
    Blanks(usize),
}

/// More blanks than this serve nobody.
const WIDEST: usize = 64;

impl Default for Indent {
    fn default() -> Self {
        Self::Blanks(4)
    }
}

impl From<i64> for Indent {
    /// What is negative means a single line, as with Salt.
    fn from(blanks: i64) -> Self {
        usize::try_from(blanks).map_or(Self::Line, |blanks| Self::Blanks(blanks.min(WIDEST)))
    }
}

/// A value as JSON, ended by a line break.
pub(super) fn json(value: &Value, indent: Indent) -> String {
    let mut bytes = Vec::new();
    match indent {
        Indent::Line => value.serialize(&mut Serializer::with_formatter(&mut bytes, OneLine)),
        Indent::Blanks(blanks) => {
            let indent = vec![b' '; blanks];
            value
                .serialize(&mut Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(&indent)))
        }
    }
    .expect("a JSON value is written to memory");
    bytes.push(b'\n');
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// One line with a blank after each comma and colon.
struct OneLine;

impl Formatter for OneLine {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
