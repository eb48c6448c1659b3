//! The arguments of a state function, taken one by one; what is wrong with them is collected.

use std::path::{Path, PathBuf};

use metalk8s_diagnostics::{Code, Problem, explain};

use crate::{
    FileRoots,
    sls::Chunk,
    yaml::{Node, Scalar, Value},
};

/// Arguments of one state.
pub(crate) struct Args<'a> {
    pub(crate) chunk: &'a Chunk,
    pub(crate) roots: &'a dyn FileRoots,
    pub(crate) problems: Vec<Problem>,
}

impl<'a> Args<'a> {
    pub(crate) fn new(chunk: &'a Chunk, roots: &'a dyn FileRoots) -> Self {
        Self { chunk, roots, problems: Vec::new() }
    }

    /// The value given for an argument; a null counts as not given.
    pub(crate) fn node(&self, name: &str) -> Option<&'a Node> {
        let chunk: &'a Chunk = self.chunk;
        let given = chunk.arguments.iter().find(|argument| argument.name == name)?;
        (given.node.scalar() != Some(Scalar::Null)).then_some(&given.node)
    }

    /// Notes that something is wrong with a value.
    pub(crate) fn wrong(&mut self, code: Code, name: &str, node: &Node, message: &str, accepted: &str) {
        let problem = Problem::new(code, message).found(node.shown()).accepted(accepted);
        self.problems.push(self.chunk.place(problem, node).key(self.key(name)));
    }

    fn bad(&mut self, name: &str, node: &Node, accepted: &str) {
        self.wrong(explain::SLS_BAD_VALUE, name, node, "this value is not accepted", accepted);
    }

    fn key(&self, name: &str) -> String {
        let Chunk { id, module, function, .. } = self.chunk;
        format!("{id}: {module}.{function}: {name}")
    }

    /// Notes that a mandatory argument is missing.
    pub(crate) fn missing(&mut self, name: &str, accepted: &str) {
        let problem =
            Problem::new(explain::SLS_MISSING_ARGUMENT, format!("`{name}` is missing")).accepted(accepted);
        self.problems.push(self.chunk.at_declaration(problem).key(self.key(name)));
    }

    /// Any scalar, as it was written.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        let node = self.node(name)?;
        let text = node.text();
        if text.is_none() {
            self.bad(name, node, "a single value");
        }
        text.map(str::to_owned)
    }

    /// The same, mandatory.
    pub(crate) fn required_text(&mut self, name: &str) -> Option<String> {
        if self.node(name).is_none() {
            self.missing(name, "a single value");
        }
        self.text(name)
    }

    /// `True` or `False`.
    pub(crate) fn boolean(&mut self, name: &str) -> Option<bool> {
        let node = self.node(name)?;
        match node.scalar() {
            Some(Scalar::Boolean(value)) => Some(value),
            _ => {
                self.bad(name, node, "`True` or `False`");
                None
            }
        }
    }

    /// A number that is not negative.
    pub(crate) fn number<N: TryFrom<i64>>(&mut self, name: &str) -> Option<N> {
        let node = self.node(name)?;
        let number = match node.scalar() {
            Some(Scalar::Integer(number)) if number >= 0 => N::try_from(number).ok(),
            _ => None,
        };
        if number.is_none() {
            self.bad(name, node, "a whole number that is not negative");
        }
        number
    }

    /// A number of bytes above 0, with a unit of Kubernetes' quantities or without one.
    pub(crate) fn bytes(&mut self, name: &str) -> Option<u64> {
        let node = self.node(name)?;
        let bytes = node.text().and_then(bytes);
        if bytes.is_none() {
            self.bad(
                name,
                node,
                "a whole number of bytes above 0, such as `10Gi` (Ki, Mi, Gi, Ti, Pi, k, M, G, T, P)",
            );
        }
        bytes
    }

    /// Permission bits in octal, quoted or not.
    pub(crate) fn mode(&mut self, name: &str) -> Option<u32> {
        let node = self.node(name)?;
        let mode = node.text().and_then(|text| {
            let digits = text.strip_prefix("0o").unwrap_or(text);
            u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o7777 && digits.len() >= 3)
        });
        if mode.is_none() {
            self.bad(name, node, "octal permission bits such as `0644`");
        }
        mode
    }

    /// An absolute path.
    pub(crate) fn path(&mut self, name: &str) -> Option<PathBuf> {
        let node = self.node(name)?;
        let path = node.text().filter(|text| is_absolute(text)).map(PathBuf::from);
        if path.is_none() {
            self.bad(name, node, "an absolute path without `..`");
        }
        path
    }

    /// The name of the state as an absolute path.
    pub(crate) fn name_as_path(&mut self) -> Option<PathBuf> {
        if is_absolute(&self.chunk.name) {
            return Some(PathBuf::from(&self.chunk.name));
        }
        let problem = Problem::new(explain::SLS_BAD_VALUE, "the name of this state must be a path")
            .found(format!("`{}`", self.chunk.name))
            .accepted("an absolute path without `..`, as the id or as `name`");
        self.problems.push(self.chunk.at_declaration(problem).key(self.key("name")));
        None
    }

    /// One value or a list of values, as they were written.
    pub(crate) fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        let node = self.node(name)?;
        let items = match &node.value {
            Value::Scalar { text, .. } => return Some(vec![text.clone()]),
            Value::List(items) => items.as_slice(),
            Value::Map(_) => {
                self.bad(name, node, "a value or a list of values");
                return None;
            }
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.text() {
                Some(text) => texts.push(text.to_owned()),
                None => self.bad(name, item, "a single value"),
            }
        }
        Some(texts)
    }

    /// Names with values, written as a map or as a list of maps; a value may be left out in a list.
    pub(crate) fn pairs(&mut self, name: &str) -> Option<Vec<(String, Option<String>)>> {
        let node = self.node(name)?;
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            Value::Map(_) => std::slice::from_ref(node),
            Value::Scalar { .. } => {
                self.bad(name, node, "a list of names, or of names with values");
                return None;
            }
        };
        let mut pairs = Vec::new();
        for item in items {
            match &item.value {
                Value::Scalar { text, .. } => pairs.push((text.clone(), None)),
                Value::Map(map) => {
                    for (key, value) in map {
                        match (key.text(), value.text()) {
                            (Some(key), Some(text)) => {
                                let text = (value.scalar() != Some(Scalar::Null)).then(|| text.to_owned());
                                pairs.push((key.to_owned(), text));
                            }
                            _ => self.bad(name, value, "a single value"),
                        }
                    }
                }
                Value::List(_) => self.bad(name, item, "a name, or a name with a value"),
            }
        }
        Some(pairs)
    }
}

/// A whole quantity above 0 of Kubernetes, in units. Pure.
fn bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 11] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
        ("", 1),
    ];
    let (digits, unit) = UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, bytes)))?;
    let is_number = digits.starts_with(|first: char| first.is_ascii_digit());
    let number: u64 = is_number.then(|| digits.parse().ok()).flatten()?;
    number.checked_mul(*unit).filter(|bytes| *bytes > 0)
}

fn is_absolute(text: &str) -> bool {
    text.starts_with('/')
        && !text.contains('\0')
        && !Path::new(text).components().any(|part| part.as_os_str() == "..")
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_whole_quantities_above_0() {
        for (text, expected) in
            [("512", 512), ("10Gi", 10 << 30), ("5k", 5_000), ("3P", 3_000_000_000_000_000)]
        {
            assert_eq!(bytes(text), Some(expected), "{text}");
        }
        for text in ["", "0", "0Gi", "Gi", "-1", "+1", "1.5Gi", "1 Gi", "1GB", "1Ei", "99999999Pi"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
