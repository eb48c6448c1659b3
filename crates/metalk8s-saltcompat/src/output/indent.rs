//! Indentation of JSON, with the blanks that Python writes, and of YAML.

use std::io;

use serde::Serialize;
use serde_json::{
    Serializer, Value,
    ser::{Formatter, PrettyFormatter},
};
use serde_saphyr::ser;

/// Indentation of JSON and YAML (`--out-indent`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Indent {
    /// JSON by 4 blanks and YAML by 2.
    #[default]
    Usual,
    /// Everything on a line.
    Line,
    /// A line for each value, indented by so many blanks.
    Blanks(usize),
}

/// More blanks than this serve nobody.
const WIDEST: usize = 64;

impl From<i64> for Indent {
    /// What is negative means a single line, as with Salt.
    fn from(blanks: i64) -> Self {
        usize::try_from(blanks).map_or(Self::Line, |blanks| Self::Blanks(blanks.min(WIDEST)))
    }
}

/// A value as JSON, ended by a line break.
pub(super) fn json(value: &Value, indent: Indent) -> String {
    let mut bytes = Vec::new();
    let mut indented = |blanks: usize| {
        let indent = vec![b' '; blanks];
        value.serialize(&mut Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(&indent)))
    };
    match indent {
        Indent::Usual => indented(4),
        Indent::Blanks(blanks) => indented(blanks),
        Indent::Line => value.serialize(&mut Serializer::with_formatter(&mut bytes, OneLine)),
    }
    .expect("a JSON value is written to memory");
    bytes.push(b'\n');
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// A value as YAML, ended by a line break.
pub(super) fn yaml(value: &Value, indent: Indent) -> Result<String, ser::Error> {
    let blanks = match indent {
        // JSON is YAML.
        Indent::Line => return Ok(json(value, indent)),
        Indent::Blanks(blanks @ 2..=9) => blanks,
        // Others mean 2, as with Salt.
        Indent::Usual | Indent::Blanks(_) => 2,
    };
    serde_saphyr::to_string_with_options(value, serde_saphyr::ser_options! { indent_step: blanks })
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
