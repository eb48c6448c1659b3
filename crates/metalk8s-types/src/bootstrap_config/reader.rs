//! Walking through the tree, collecting mistakes on the way.

use super::{
    mistake::{Mistake, MistakeCode},
    yaml::{Entry, Node, Place, Value},
};

/// How alike two words must be for one to be offered instead of the other, from 0 to 1.
const ALIKE: f64 = 0.75;

/// Collects mistakes.
#[derive(Default)]
pub(super) struct Reader {
    mistakes: Vec<Mistake>,
}

/// A mapping whose keys were compared with the known ones.
pub(super) struct Fields<'a> {
    entries: &'a [Entry],
    path: String,
    place: Place,
}

impl Reader {
    /// All mistakes, in the order of the file.
    pub(super) fn into_mistakes(mut self) -> Vec<Mistake> {
        self.mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        self.mistakes
    }

    pub(super) fn add(
        &mut self,
        code: MistakeCode,
        place: Place,
        key: &str,
        message: impl Into<String>,
        found: Option<String>,
        accepted: Option<&str>,
    ) {
        self.mistakes.push(Mistake {
            code,
            line: place.line,
            column: place.column,
            key: key.to_owned(),
            message: message.into(),
            found,
            accepted: accepted.map(str::to_owned),
        });
    }

    /// A value of the wrong type or form.
    pub(super) fn bad(&mut self, node: &Node, key: &str, message: impl Into<String>, accepted: &str) {
        let found = Some(node.value.describe());
        self.add(MistakeCode::BadValue, node.place, key, message, found, Some(accepted));
    }

    /// The node as a mapping, whatever its keys are.
    pub(super) fn mapping<'a>(&mut self, node: &'a Node, path: &str, known: &[&str]) -> Option<Fields<'a>> {
        let Value::Map(entries) = &node.value else {
            let accepted = format!("a mapping with {}", list(known));
            self.bad(node, path, "this must be a mapping", &accepted);
            return None;
        };
        Some(Fields { entries, path: path.to_owned(), place: node.place })
    }

    /// The node as a mapping; keys that are not known are mistakes.
    pub(super) fn fields<'a>(&mut self, node: &'a Node, path: &str, known: &[&str]) -> Option<Fields<'a>> {
        let fields = self.mapping(node, path, known)?;
        for entry in fields.entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let message = match nearest(&entry.key, known) {
                Some(nearest) => format!("this key is not known; did you mean `{nearest}`?"),
                None => "this key is not known".to_owned(),
            };
            let key = join(path, &entry.key);
            self.add(MistakeCode::UnknownKey, entry.place, &key, message, None, Some(&list(known)));
        }
        Some(fields)
    }

    /// The node as a mapping whose keys are names, each with its path; one that holds nothing is left out.
    pub(super) fn named<'a>(
        &mut self,
        node: &'a Node,
        path: &str,
        accepted: &str,
    ) -> Vec<(&'a str, &'a Node, String)> {
        let Value::Map(entries) = &node.value else {
            self.bad(node, path, "this must be a mapping", accepted);
            return Vec::new();
        };
        let held = entries.iter().filter(|entry| entry.node.value != Value::Nothing);
        held.map(|entry| (entry.key.as_str(), &entry.node, join(path, &entry.key))).collect()
    }

    /// The value of a key that must be there and hold something.
    pub(super) fn required<'a>(
        &mut self,
        fields: &Fields<'a>,
        key: &str,
        accepted: &str,
    ) -> Option<&'a Node> {
        let found = fields.get(key);
        if found.is_none() {
            let entry = fields.entries.iter().find(|entry| entry.key == key);
            let (place, message) = match entry {
                Some(entry) => (entry.place, "this key has no value"),
                None => (fields.place, "this key is missing"),
            };
            let path = fields.path(key);
            self.add(MistakeCode::MissingKey, place, &path, message, None, Some(accepted));
        }
        found
    }

    /// The node as text.
    pub(super) fn text<'a>(&mut self, node: &'a Node, key: &str, accepted: &str) -> Option<&'a str> {
        match &node.value {
            Value::Text(text) => Some(text),
            Value::Nothing | Value::List(_) | Value::Map(_) => {
                self.bad(node, key, "this must be one value", accepted);
                None
            }
        }
    }

    /// The node as a list of nodes, each with its path; a single text is a list of one.
    pub(super) fn items<'a>(&mut self, node: &'a Node, key: &str, accepted: &str) -> Vec<(&'a Node, String)> {
        match &node.value {
            Value::Text(_) => vec![(node, key.to_owned())],
            Value::List(items) => {
                items.iter().enumerate().map(|(index, item)| (item, format!("{key}[{index}]"))).collect()
            }
            Value::Nothing | Value::Map(_) => {
                self.bad(node, key, "this must be one value or a list", accepted);
                Vec::new()
            }
        }
    }
}

impl<'a> Fields<'a> {
    /// The value of a key, where it holds something.
    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (entry.node.value != Value::Nothing).then_some(&entry.node)
    }

    /// The whole path of a key of this mapping.
    pub(super) fn path(&self, key: &str) -> String {
        join(&self.path, key)
    }
}

fn join(path: &str, key: &str) -> String {
    // The key is foreign text, and this is printed.
    let key: String = key.chars().filter(|character| !character.is_control()).take(60).collect();
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// The known word that looks most like this one, if any does.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // Keys are short; comparing takes time that grows with the square of the length.
    if word.chars().count() > 60 {
        return None;
    }
    let plain = |word: &str| word.replace(['_', '-'], "").to_lowercase();
    let likeness = |known: &str| strsim::jaro_winkler(&plain(word), &plain(known));
    let best =
        known.iter().map(|known| (likeness(known), *known)).max_by(|one, other| one.0.total_cmp(&other.0));
    best.filter(|(likeness, _)| *likeness >= ALIKE).map(|(_, known)| known)
}
