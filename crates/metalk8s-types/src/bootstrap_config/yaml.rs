//! YAML as a tree with places, bounded: foreign text may be anything.

use std::borrow::Cow;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};
use serde_json::Value as Json;

use super::{
    MAX_BYTES,
    mistake::{Mistake, MistakeCode, quote},
};

/// Deeper than any configuration.
const MAX_DEPTH: usize = 16;
/// More than any configuration has. Some values are compared each with each.
const MAX_VALUES: usize = 10_000;

/// A place in the text, both from 1; 0 is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing was written, or `null`.
    Nothing,
    /// A scalar, as text: what it means is decided by the key.
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) node: Node,
}

impl Place {
    const START: Self = Self { line: 1, column: 1 };
    /// Of what stands in no text.
    const NOWHERE: Self = Self { line: 0, column: 0 };

    fn of(marker: Marker) -> Self {
        Self { line: marker.line(), column: marker.col() + 1 }
    }

    /// A mistake here, about the file as a whole.
    fn mistake(self, message: impl Into<String>) -> Mistake {
        Mistake {
            code: MistakeCode::NotYaml,
            line: self.line,
            column: self.column,
            key: String::new(),
            message: message.into(),
            found: None,
            accepted: None,
        }
    }
}

impl Node {
    /// A value that stands in no text.
    pub(super) fn from_json(json: &Json) -> Result<Self, Mistake> {
        let mut left = MAX_VALUES;
        Self::within(json, 0, &mut left)
    }

    /// The same, nested so deep, with at most so many values.
    fn within(json: &Json, depth: usize, left: &mut usize) -> Result<Self, Mistake> {
        let place = Place::NOWHERE;
        if depth > MAX_DEPTH || *left == 0 {
            return Err(Mistake {
                code: MistakeCode::TooLarge,
                accepted: Some(format!("at most {MAX_VALUES} values, nested at most {MAX_DEPTH} times")),
                ..place.mistake("these are too many values to be settings")
            });
        }
        *left -= 1;
        let value = match json {
            Json::Null => Value::Nothing,
            Json::Bool(_) | Json::Number(_) => Value::Text(json.to_string()),
            Json::String(text) => Value::Text(text.clone()),
            Json::Array(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    list.push(Self::within(item, depth + 1, left)?);
                }
                Value::List(list)
            }
            Json::Object(map) => {
                let mut entries = Vec::with_capacity(map.len());
                for (key, value) in map {
                    let node = Self::within(value, depth + 1, left)?;
                    entries.push(Entry { key: key.clone(), place, node });
                }
                Value::Map(entries)
            }
        };
        Ok(Self { place, value })
    }
}

impl Value {
    /// What kind of value it is, for a message.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Nothing => "nothing".to_owned(),
            Self::Text(text) => quote(text),
            Self::List(items) => format!("a list of {}", items.len()),
            Self::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// Reads the only document of the file.
pub(super) fn load(bytes: &[u8]) -> Result<Node, Mistake> {
    if bytes.len() > MAX_BYTES {
        return Err(Mistake {
            code: MistakeCode::TooLarge,
            found: Some(format!("{} bytes", bytes.len())),
            accepted: Some(format!("at most {MAX_BYTES} bytes")),
            ..Place::START.mistake("the file is too large to be a configuration")
        });
    }
    let text = text(bytes)?;
    let mut builder = Builder { parser: Parser::new_from_str(text), values: 0 };
    builder.document()
}

fn text(bytes: &[u8]) -> Result<&str, Mistake> {
    let accepted = |mistake| Mistake { accepted: Some("text in UTF-8".to_owned()), ..mistake };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (good, bad) = bytes.split_at(error.valid_up_to());
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = good.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let column = good[start..].iter().filter(|byte| (**byte & 0xc0) != 0x80).count() + 1;
        let found = bad.first().map(|byte| format!("the byte 0x{byte:02x}"));
        accepted(Mistake { found, ..Place { line, column }.mistake("the file is not a text") })
    })?;
    if let Some(at) = text.find('\0') {
        let line = text[..at].matches('\n').count() + 1;
        let mistake = Place { line, column: 1 }.mistake("the file is not a text");
        return Err(accepted(Mistake { found: Some("a zero byte".to_owned()), ..mistake }));
    }
    // Some editors put a mark at the beginning of a text in UTF-8.
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

struct Builder<'input> {
    parser: Parser<'input, StrInput<'input>>,
    /// How many were read.
    values: usize,
}

impl<'input> Builder<'input> {
    fn document(&mut self) -> Result<Node, Mistake> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Err(Place::START.mistake("the file is empty")),
                (Event::DocumentStart(_), _) => break,
                _ => {}
            }
        }
        let (event, place) = self.next()?;
        let root = self.node(event, place, 0)?;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => break,
                (Event::DocumentStart(_), place) => {
                    return Err(place.mistake("the file holds several YAML documents, and only one is read"));
                }
                _ => {}
            }
        }
        if root.value == Value::Nothing {
            return Err(Place::START.mistake("the file is empty"));
        }
        Ok(root)
    }

    fn next(&mut self) -> Result<(Event<'input>, Place), Mistake> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, Place::of(span.start))),
            Some(Err(error)) => Err(not_yaml(&error)),
            None => Ok((Event::StreamEnd, Place::START)),
        }
    }

    fn node(&mut self, event: Event<'input>, place: Place, depth: usize) -> Result<Node, Mistake> {
        if depth > MAX_DEPTH {
            return Err(place.mistake(format!("values are nested deeper than {MAX_DEPTH} times")));
        }
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(Mistake {
                code: MistakeCode::TooLarge,
                accepted: Some(format!("at most {MAX_VALUES} values")),
                ..place.mistake("the file holds too many values to be a configuration")
            });
        }
        let value = match event {
            Event::Scalar(text, style, _, tag) => {
                refuse_tag(tag.as_deref(), place)?;
                scalar(text, style)
            }
            Event::SequenceStart(_, tag) => {
                refuse_tag(tag.as_deref(), place)?;
                self.list(depth)?
            }
            Event::MappingStart(_, tag) => {
                refuse_tag(tag.as_deref(), place)?;
                self.map(depth)?
            }
            // An alias repeats a value; a few of them, nested, can grow into more than any memory holds.
            Event::Alias(_) => {
                return Err(place.mistake("aliases (`*name`) are not accepted; write the value out"));
            }
            _ => Value::Nothing,
        };
        Ok(Node { place, value })
    }

    fn list(&mut self, depth: usize) -> Result<Value, Mistake> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd | Event::StreamEnd, _) => return Ok(Value::List(items)),
                (event, place) => items.push(self.node(event, place, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Mistake> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, place) = match self.next()? {
                (Event::MappingEnd | Event::StreamEnd, _) => return Ok(Value::Map(entries)),
                next => next,
            };
            let Event::Scalar(key, ..) = event else {
                return Err(place.mistake("a key must be a plain word"));
            };
            if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                let message = format!("the key {} stands already in line {}", quote(&key), first.place.line);
                return Err(place.mistake(message));
            }
            let (event, value_place) = self.next()?;
            let node = self.node(event, value_place, depth + 1)?;
            entries.push(Entry { key: key.into_owned(), place, node });
        }
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle) -> Value {
    let plain = matches!(style, ScalarStyle::Plain);
    if plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") {
        Value::Nothing
    } else {
        Value::Text(text.into_owned())
    }
}

fn refuse_tag(tag: Option<&Tag>, place: Place) -> Result<(), Mistake> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() => {
            Err(place.mistake(format!("the tag {} is not accepted", quote(&tag.to_string()))))
        }
        _ => Ok(()),
    }
}

fn not_yaml(error: &ScanError) -> Mistake {
    Place::of(*error.marker()).mistake(format!("this is not YAML: {}", error.info()))
}
