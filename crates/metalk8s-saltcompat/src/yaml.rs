//! YAML with the place of each node, read from the parser's events.
//!
//! Scalars keep the text as it was written: `0644` and `1.10` mean what a person sees.

use std::{collections::HashMap, path::Path};

use metalk8s_diagnostics::{Problem, explain};
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::Value as Json;

/// Nesting beyond this is refused; real files have less than ten levels.
const MAX_DEPTH: usize = 64;
/// Anchors and aliases may not multiply a file into more than this, in units of [`Node::weight`].
const MAX_COPIED: usize = 100_000;
/// So many bytes of text weigh as much as a node.
const BYTES_OF_A_NODE: usize = 64;

/// A node of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// From 1; 0 where it comes from no file.
    pub(crate) line: usize,
    /// From 1; 0 where it comes from no file.
    pub(crate) column: usize,
    pub(crate) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Scalar {
        text: String,
        /// Not quoted: may be null, a truth value or a number.
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// What a scalar means, by the rules of YAML 1.1 that Salt's users know (`yes`, `off`).
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(&'a str),
}

/// Reads one document; an empty file is an empty map. All double keys are told at once.
pub(crate) fn parse(text: &str, file: &Path) -> Result<Node, Vec<Problem>> {
    let mut builder = Builder { file, ..Builder::default() };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => builder.take(event, span)?,
            Err(err) => {
                let marker = err.marker();
                let problem = Problem::new(explain::SLS_NOT_YAML, format!("not valid YAML: {}", err.info()));
                return Err(vec![problem.at(file, marker.line(), marker.col() + 1)]);
            }
        }
    }
    if !builder.problems.is_empty() {
        return Err(builder.problems);
    }
    Ok(builder.root.unwrap_or(Node { line: 1, column: 1, value: Value::Map(Vec::new()) }))
}

struct Builder<'f> {
    file: &'f Path,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    /// What anchors and aliases made weighs so much.
    copied: usize,
    root: Option<Node>,
    problems: Vec<Problem>,
}

/// A list or map that is not ended yet.
struct Open {
    node: Node,
    anchor: usize,
    /// The key whose value comes next.
    key: Option<Node>,
    /// Keys of a map that are there, with their lines.
    seen: HashMap<String, usize>,
    /// What `<<` brings: keys that the map does not have itself.
    merged: Vec<Node>,
}

impl Default for Builder<'_> {
    fn default() -> Self {
        Self {
            file: Path::new(""),
            open: Vec::new(),
            anchors: HashMap::new(),
            copied: 0,
            root: None,
            problems: Vec::new(),
        }
    }
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Vec<Problem>> {
        let place = |value| Node { line: span.start.line(), column: span.start.col() + 1, value };
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && !is_text(tag.as_deref());
                let node = place(Value::Scalar { text: text.into_owned(), plain });
                self.refuse_tag(tag.as_deref(), &node);
                self.end(node, anchor)?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(place(Value::List(Vec::new())), anchor, tag.as_deref())?;
            }
            Event::MappingStart(anchor, tag) => {
                self.begin(place(Value::Map(Vec::new())), anchor, tag.as_deref())?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { mut node, anchor, key: _, mut seen, merged }) = self.open.pop() {
                    if let Value::Map(pairs) = &mut node.value {
                        merged.into_iter().for_each(|other| merge(pairs, &mut seen, other));
                    }
                    self.end(node, anchor)?;
                }
            }
            Event::Alias(anchor) => {
                let node =
                    self.anchors.get(&anchor).cloned().unwrap_or_else(|| place(Value::Map(Vec::new())));
                if self.open.len() + node.depth() > MAX_DEPTH {
                    return Err(vec![self.problem("nested too deeply", &node)]);
                }
                self.count_copy(&node)?;
                self.end(node, 0)?;
            }
            Event::DocumentStart(_) if self.root.is_some() => {
                let node = place(Value::Map(Vec::new()));
                return Err(vec![self.problem("a second document begins here", &node)]);
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn begin(&mut self, node: Node, anchor: usize, tag: Option<&Tag>) -> Result<(), Vec<Problem>> {
        self.refuse_tag(tag, &node);
        if self.open.len() >= MAX_DEPTH {
            return Err(vec![self.problem("nested too deeply", &node)]);
        }
        self.open.push(Open { node, anchor, key: None, seen: HashMap::new(), merged: Vec::new() });
        Ok(())
    }

    fn count_copy(&mut self, node: &Node) -> Result<(), Vec<Problem>> {
        self.copied += node.weight();
        if self.copied > MAX_COPIED {
            return Err(vec![self.problem("anchors and aliases repeat too much", node)]);
        }
        Ok(())
    }

    /// Puts a whole node where it belongs.
    fn end(&mut self, node: Node, anchor: usize) -> Result<(), Vec<Problem>> {
        if anchor > 0 {
            self.count_copy(&node)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.node.value {
            Value::List(items) => items.push(node),
            Value::Map(pairs) => match open.key.take() {
                None => open.key = Some(node),
                Some(key) if key.is_plain("<<") => open.merged.push(node),
                Some(key) => {
                    let seen = key.text().map(|text| open.seen.insert(text.to_owned(), key.line));
                    let message = match seen {
                        Some(None) => {
                            pairs.push((key, node));
                            return Ok(());
                        }
                        Some(Some(first)) => {
                            format!("{} stands here twice, first on line {first}", key.shown())
                        }
                        None => "a key is a single value".to_owned(),
                    };
                    let problem = self.problem(&message, &key);
                    self.problems.push(problem);
                }
            },
            Value::Scalar { .. } => {}
        }
        Ok(())
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, node: &Node) {
        const KNOWN: [&str; 7] = ["str", "int", "float", "bool", "null", "seq", "map"];
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && KNOWN.contains(&tag.suffix.as_str()))
        {
            let problem = self.problem(&format!("the tag `{tag}` is not supported"), node);
            self.problems.push(problem);
        }
    }

    fn problem(&self, message: &str, node: &Node) -> Problem {
        Problem::new(explain::SLS_NOT_YAML, message).at(self.file, node.line, node.column)
    }
}

fn is_text(tag: Option<&Tag>) -> bool {
    tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str")
}

/// `<<: *other`: keys of the other map, or maps, that are not there yet.
fn merge(pairs: &mut Vec<(Node, Node)>, seen: &mut HashMap<String, usize>, other: Node) {
    match other.value {
        Value::Map(others) => {
            for (key, value) in others {
                let text = key.text().unwrap_or_default();
                if !seen.contains_key(text) {
                    seen.insert(text.to_owned(), key.line);
                    pairs.push((key, value));
                }
            }
        }
        Value::List(items) => items.into_iter().for_each(|item| merge(pairs, seen, item)),
        Value::Scalar { .. } => {}
    }
}

impl Node {
    /// A node that comes from no file.
    pub(crate) fn from_json(json: &Json) -> Self {
        let value = match json {
            Json::Null => Value::Scalar { text: "null".to_owned(), plain: true },
            Json::Bool(_) | Json::Number(_) => Value::Scalar { text: json.to_string(), plain: true },
            Json::String(text) => Value::Scalar { text: text.clone(), plain: false },
            Json::Array(items) => Value::List(items.iter().map(Self::from_json).collect()),
            Json::Object(map) => {
                let key = |key: &String| Self::from_json(&Json::String(key.clone()));
                Value::Map(map.iter().map(|(name, value)| (key(name), Self::from_json(value))).collect())
            }
        };
        Self { line: 0, column: 0, value }
    }

    /// The text of a scalar, as written.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// What a scalar means.
    pub(crate) fn scalar(&self) -> Option<Scalar<'_>> {
        match &self.value {
            Value::Scalar { text, plain: true } => Some(resolve(text)),
            Value::Scalar { text, plain: false } => Some(Scalar::Text(text)),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The only pair of a map with one key.
    pub(crate) fn single(&self) -> Option<(&Node, &Node)> {
        match &self.value {
            Value::Map(pairs) => match pairs.as_slice() {
                [(key, value)] => Some((key, value)),
                _ => None,
            },
            Value::Scalar { .. } | Value::List(_) => None,
        }
    }

    fn is_plain(&self, word: &str) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if text == word)
    }

    fn weight(&self) -> usize {
        1 + match &self.value {
            Value::Scalar { text, .. } => text.len() / BYTES_OF_A_NODE,
            Value::List(items) => items.iter().map(Self::weight).sum(),
            Value::Map(pairs) => pairs.iter().map(|(key, value)| key.weight() + value.weight()).sum(),
        }
    }

    /// How many lists and maps lie in one another.
    fn depth(&self) -> usize {
        match &self.value {
            Value::Scalar { .. } => 0,
            Value::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Value::Map(pairs) => 1 + pairs.iter().map(|(_, value)| value.depth()).max().unwrap_or(0),
        }
    }

    /// What it is, for the `found` of a problem; long texts are cut.
    pub(crate) fn shown(&self) -> String {
        match &self.value {
            Value::Scalar { text, .. } if text.chars().count() > 60 || text.contains('\n') => {
                let start: String =
                    text.chars().take_while(|character| *character != '\n').take(57).collect();
                format!("`{start}...`")
            }
            Value::Scalar { text, .. } => format!("`{text}`"),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }

    /// The same as JSON.
    pub(crate) fn to_json(&self) -> Json {
        match &self.value {
            Value::Scalar { .. } => match self.scalar() {
                None | Some(Scalar::Null) => Json::Null,
                Some(Scalar::Boolean(value)) => value.into(),
                Some(Scalar::Integer(value)) => value.into(),
                Some(Scalar::Float(value)) => value.into(),
                Some(Scalar::Text(text)) => text.into(),
            },
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(pairs) => pairs
                .iter()
                .map(|(key, value)| (key.text().unwrap_or_default().to_owned(), value.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

fn resolve(text: &str) -> Scalar<'_> {
    let digits = text.trim_start_matches(['-', '+']);
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Scalar::Boolean(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Scalar::Boolean(false),
        // A leading zero is part of a mode or an identifier, not of a number.
        _ if digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit() => {
            Scalar::Text(text)
        }
        _ if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') => Scalar::Text(text),
        _ => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(number), _) => Scalar::Integer(number),
            (Err(_), Ok(number)) if text.contains('.') && number.is_finite() => Scalar::Float(number),
            _ => Scalar::Text(text),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::{MAX_DEPTH, Node, parse};

    fn read(text: &str) -> Node {
        parse(text, Path::new("x.sls")).unwrap()
    }

    fn mistakes(text: &str) -> Vec<String> {
        parse(text, Path::new("x.sls")).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn scalars_mean_what_salts_users_expect() {
        let text =
            "{a: yes, b: 'yes', c: 0644, d: 12, e: 1.5, f: ~, g: 1.2.3, h: !!str 1, i: -1, j: .x, k: off}";
        assert_eq!(
            read(text).to_json(),
            json!({"a": true, "b": "yes", "c": "0644", "d": 12, "e": 1.5, "f": null, "g": "1.2.3", "h": "1",
                   "i": -1, "j": ".x", "k": false})
        );
        assert_eq!(read("").to_json(), json!({}));
    }

    #[test]
    fn anchors_and_merges_are_followed() {
        let text = "a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  x: 3\nc: *a\n";
        assert_eq!(
            read(text).to_json(),
            json!({"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}, "c": {"x": 1, "y": 2}})
        );
    }

    #[test]
    fn every_double_key_is_told_with_its_place() {
        assert_eq!(
            mistakes("a: 1\nb: {c: 1, c: 2}\na: 2\n"),
            [
                "x.sls:2:11: `c` stands here twice, first on line 2 (MK1802)",
                "x.sls:3:1: `a` stands here twice, first on line 1 (MK1802)"
            ]
        );
    }

    #[test]
    fn broken_yaml_names_line_and_column() {
        let mistake = mistakes("a:\n  - b\n c: d\n").remove(0);
        assert!(mistake.starts_with("x.sls:3:"), "{mistake}");
    }

    #[test]
    fn hostile_files_are_refused() {
        assert!(mistakes(&"[".repeat(MAX_DEPTH + 1))[0].contains("nested too deeply"));
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..9 {
            let alias = format!("*a{},", level - 1).repeat(10);
            bomb += &format!("a{level}: &a{level} [{alias}]\n");
        }
        assert!(mistakes(&bomb)[0].contains("anchors and aliases repeat too much"));
        let long = format!("[&a {}{}]", "x".repeat(500_000), ", *a".repeat(20));
        assert!(mistakes(&long)[0].contains("anchors and aliases repeat too much"));
        assert!(mistakes("? [a, b]\n: c\n")[0].contains("a key is a single value"));
        assert!(mistakes("a: !!python/object:os.system x\n")[0].contains("is not supported"));
    }
}
