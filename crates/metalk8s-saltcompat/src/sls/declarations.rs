//! Ids and the functions under them.

use std::collections::BTreeMap;

use metalk8s_diagnostics::{Problem, explain};
use serde_json::{Value as Json, json};

use super::{Chunk, Reference, files::SlsFile, requisites, rules};
use crate::{
    Words, functions,
    nearest::accepted,
    yaml::{Node, Value},
};

/// One argument as it is written.
#[derive(Debug, Clone)]
pub(crate) struct Argument {
    pub(crate) name: String,
    pub(crate) node: Node,
}

/// Arguments that every function takes, besides [`rules::WORDS`] and requisites.
const COMMON: [&str; 2] = ["name", "names"];

/// What every state may say of itself and of others.
pub(crate) fn requisites_of_states() -> impl Iterator<Item = &'static str> + Clone {
    COMMON.into_iter().chain(rules::WORDS).chain(requisites::words())
}

/// Whether a state may say this of itself.
fn takes(function: &functions::Function, argument: &str) -> bool {
    function.arguments.contains(&argument) || rules::WORDS.contains(&argument)
}

/// Reads what a file declares and adds it to what `state.show_sls` shows.
pub(super) fn read(
    file: &SlsFile,
    high: &mut serde_json::Map<String, Json>,
    problems: &mut Vec<Problem>,
) -> Vec<Chunk> {
    let mut reader = Reader { file, problems, chunks: Vec::new() };
    for (id, body) in &file.declarations {
        let Some(text) = id.text() else {
            reader.report(id, "an id is a single word or text");
            continue;
        };
        let shown = reader.declaration(text, id, body);
        let entry =
            high.entry(text.to_owned()).or_insert_with(|| json!({"__sls__": file.name, "__env__": "base"}));
        if let Json::Object(entry) = entry {
            entry.extend(shown);
        }
    }
    reader.chunks
}

/// The state that the words of `state.single` ask for.
pub(super) fn from_words(words: &Words, problems: &mut Vec<Problem>) -> Option<Chunk> {
    let mut texts = words.positional.iter().map(|word| match word {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    });
    let Some(function) = texts.next() else {
        let problem = Problem::new(explain::SLS_MISSING_ARGUMENT, "the function is missing");
        problems.push(problem.accepted("words such as `file.managed /etc/motd contents=hello`"));
        return None;
    };
    let found = match functions::find(&function) {
        Ok(found) => found,
        Err(problem) => {
            problems.push(*problem);
            return None;
        }
    };
    let named = words.named.get("name").and_then(Json::as_str).map(str::to_owned);
    let Some(name) = texts.next().or(named) else {
        problems.push(Problem::new(explain::SLS_MISSING_ARGUMENT, format!("`{function}` needs a name")));
        return None;
    };
    let mut chunk = Chunk {
        id: name.clone(),
        name,
        module: found.module,
        function: found.name,
        sls: String::new(),
        file: None,
        line: 0,
        column: 0,
        order: None,
        arguments: Vec::new(),
        references: Vec::new(),
    };
    // What the command itself understands is no argument of the function.
    let own = ["name", "test", "saltenv", "pillarenv", "pillar", "queue"];
    for (name, value) in words.named.iter().filter(|(name, _)| !own.contains(&name.as_str())) {
        if takes(found, name) {
            chunk.arguments.push(Argument { name: name.clone(), node: Node::from_json(value) });
        } else {
            problems.push(unknown_argument(found, name));
        }
    }
    Some(chunk)
}

/// An id may be declared in one file only.
pub(super) fn refuse_duplicates(chunks: &mut Vec<Chunk>, problems: &mut Vec<Problem>) {
    let mut owners: BTreeMap<String, (String, String)> = BTreeMap::new();
    chunks.retain(|chunk| {
        let place = format!("{}:{}", chunk.file.as_deref().unwrap_or("".as_ref()).display(), chunk.line);
        let (owner, first) = owners.entry(chunk.id.clone()).or_insert_with(|| (chunk.sls.clone(), place));
        if *owner == chunk.sls {
            return true;
        }
        let message = format!("the id `{}` is declared twice, first at {first}", chunk.id);
        problems.push(chunk.at_declaration(Problem::new(explain::SLS_DUPLICATE, message)));
        false
    });
}

struct Reader<'a> {
    file: &'a SlsFile,
    problems: &'a mut Vec<Problem>,
    chunks: Vec<Chunk>,
}

impl Reader<'_> {
    fn report(&mut self, node: &Node, message: &str) {
        let problem = Problem::new(explain::SLS_BAD_STRUCTURE, message)
            .found(node.shown())
            .accepted("`id: {file.managed: [{contents: hello}]}`, in one line or several");
        self.problems.push(problem.at(&self.file.path, node.line, node.column));
    }

    /// Returns what `state.show_sls` shows of it.
    fn declaration(&mut self, id: &str, place: &Node, body: &Node) -> serde_json::Map<String, Json> {
        let mut shown = serde_json::Map::new();
        match &body.value {
            Value::Scalar { text, .. } if text.contains('.') => {
                self.function(id, place, text, body, &[], &mut shown);
            }
            Value::Map(pairs) if !pairs.is_empty() => {
                for (key, arguments) in pairs {
                    match key.text() {
                        Some(name) => self.named(id, key, name, arguments, &mut shown),
                        None => self.report(key, "a function is a single word"),
                    }
                }
            }
            Value::Scalar { .. } | Value::List(_) | Value::Map(_) => {
                self.report(body, &format!("the id `{id}` declares no function"));
            }
        }
        shown
    }

    /// `file.managed: [...]`, or Salt's long form `file: [managed, ...]`.
    fn named(
        &mut self,
        id: &str,
        key: &Node,
        name: &str,
        arguments: &Node,
        shown: &mut serde_json::Map<String, Json>,
    ) {
        let mut items: Vec<(&Node, Option<&Node>)> = Vec::new();
        match &arguments.value {
            Value::List(list) => {
                for item in list {
                    match (item.single(), item.text()) {
                        (Some((key, value)), _) => items.push((key, Some(value))),
                        (None, Some(_)) => items.push((item, None)),
                        (None, None) => self.report(item, "an argument is a map with one key"),
                    }
                }
            }
            Value::Map(pairs) => items.extend(pairs.iter().map(|(key, value)| (key, Some(value)))),
            Value::Scalar { text, .. } if text.is_empty() || text == "null" || text == "~" => {}
            Value::Scalar { text, .. } if !name.contains('.') => {
                return self.function(id, key, &format!("{name}.{text}"), key, &[], shown);
            }
            Value::Scalar { .. } => return self.report(arguments, "arguments are a list or a map"),
        }
        let mut full = name.to_owned();
        items.retain(|(item, value)| {
            let is_function = value.is_none() && !name.contains('.');
            if is_function {
                full = format!("{name}.{}", item.text().unwrap_or_default());
            }
            !is_function
        });
        let mut given = Vec::with_capacity(items.len());
        for (key, value) in items {
            match value {
                Some(value) => given.push((key, value)),
                None => self.report(key, "an argument is a map with one key"),
            }
        }
        self.function(id, key, &full, key, &given, shown);
    }

    fn function(
        &mut self,
        id: &str,
        place: &Node,
        full: &str,
        named_at: &Node,
        given: &[(&Node, &Node)],
        shown: &mut serde_json::Map<String, Json>,
    ) {
        let found = match functions::find(full) {
            Ok(found) => found,
            Err(problem) => {
                self.problems.push(problem.at(&self.file.path, named_at.line, named_at.column).key(id));
                return;
            }
        };
        let mut chunk = Chunk {
            id: id.to_owned(),
            name: id.to_owned(),
            module: found.module,
            function: found.name,
            sls: self.file.name.clone(),
            file: Some(self.file.path.clone()),
            line: place.line,
            column: place.column,
            order: None,
            arguments: Vec::new(),
            references: Vec::new(),
        };
        let mut names = None;
        for (key, value) in given {
            let argument = key.text().unwrap_or_default();
            if let Some(word) = requisites::word(argument) {
                chunk.references.extend(Reference::read(word, value, &chunk, self.problems));
            } else if argument == "name" {
                match value.text() {
                    Some(text) => chunk.name = text.to_owned(),
                    None => self.report(value, "`name` is a single value"),
                }
            } else if argument == "names" {
                names = Some(*value);
            } else if argument == rules::ORDER {
                chunk.order = rules::order(value);
                if chunk.order.is_none() {
                    let problem = Problem::new(explain::SLS_BAD_VALUE, "this is no place among the states")
                        .found(value.shown())
                        .accepted("a whole number below 10000, `first` or `last`");
                    self.problems.push(chunk.place(problem.key(format!("{id}: {full}: order")), value));
                }
            } else if takes(found, argument) {
                chunk.arguments.push(Argument { name: argument.to_owned(), node: (*value).clone() });
            } else {
                let problem = unknown_argument(found, argument).key(format!("{id}: {full}"));
                self.problems.push(chunk.place(problem, key));
            }
        }
        let mut list: Vec<Json> = given
            .iter()
            .map(|(key, value)| json!({(key.text().unwrap_or_default()): value.to_json()}))
            .collect();
        list.push(found.name.into());
        if chunk.order.is_none() {
            list.push(json!({"order": 10_000 + self.chunks.len()}));
        }
        if shown.insert(found.module.to_owned(), list.into()).is_some() {
            let message = format!("the id `{id}` declares two functions of `{}`", found.module);
            let problem =
                Problem::new(explain::SLS_DUPLICATE, message).accepted("one of them under another id");
            self.problems.push(chunk.at_declaration(problem));
        }
        match names {
            None => self.chunks.push(chunk),
            Some(names) => self.several(&chunk, found, names),
        }
    }

    /// One state for each of `names`, which may give arguments of its own.
    fn several(&mut self, chunk: &Chunk, function: &functions::Function, names: &Node) {
        let Value::List(items) = &names.value else { return self.report(names, "`names` is a list") };
        for item in items {
            let mut one = chunk.clone();
            match (item.text(), item.single()) {
                (Some(text), _) => one.name = text.to_owned(),
                (None, Some((key, Node { value: Value::List(own), .. }))) => {
                    one.name = key.text().unwrap_or_default().to_owned();
                    for (name, node) in own.iter().filter_map(Node::single) {
                        let place = name;
                        let name = name.text().unwrap_or_default().to_owned();
                        if !takes(function, &name) {
                            let problem = unknown_argument(function, &name).key(chunk.id.clone());
                            self.problems.push(chunk.place(problem, place));
                        }
                        one.arguments.retain(|argument| argument.name != name);
                        one.arguments.push(Argument { name, node: node.clone() });
                    }
                }
                (None, _) => {
                    self.report(item, "`names` lists names, or names with arguments");
                    continue;
                }
            }
            self.chunks.push(one);
        }
    }
}

fn unknown_argument(function: &functions::Function, argument: &str) -> Problem {
    let known = function.arguments.iter().copied().chain(requisites_of_states());
    let message = format!("`{}.{}` does not take `{argument}`", function.module, function.name);
    Problem::new(explain::SLS_UNKNOWN_ARGUMENT, message)
        .found(format!("`{argument}`"))
        .accepted(accepted(argument, known))
}
