//! The words after a function on a command line, with Salt's rules: values are YAML.

use std::path::Path;

use serde_json::{Map, Value};

use crate::yaml::{self, Value as Yaml};

/// Arguments of a function.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Words {
    /// Those without a name, in order.
    pub positional: Vec<Value>,
    /// Those written `name=value`.
    pub named: Map<String, Value>,
}

impl Words {
    /// A named argument that is true, such as `test=True`.
    pub fn is_true(&self, name: &str) -> bool {
        self.named.get(name) == Some(&Value::Bool(true))
    }

    /// A named argument as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.named.get(name).and_then(Value::as_str)
    }

    /// Words beyond so many, and names other than these: they would be ignored in silence.
    pub(crate) fn superfluous(&self, positional: usize, named: &[&str]) -> Vec<String> {
        let words = self.positional.iter().skip(positional).map(|word| match word {
            Value::String(text) => format!("the word `{text}`"),
            other => format!("the word `{other}`"),
        });
        let unknown = self.named.keys().filter(|name| !named.contains(&name.as_str()));
        words.chain(unknown.map(|name| format!("`{name}=`"))).collect()
    }
}

/// Reads words such as `/etc/motd mode=0644 pkgs='[a, b]' test=True`.
///
/// A value is read as YAML where that makes a truth value, a number, a list or a map in brackets; anything
/// else, and numbers with leading zeros or underscores, stay the text they are.
pub fn parse_words<S: AsRef<str>>(words: &[S]) -> Words {
    let mut parsed = Words::default();
    for word in words.iter().map(AsRef::as_ref) {
        match split_name(word) {
            Some((name, value)) => {
                parsed.named.insert(name.to_owned(), parse_value(value));
            }
            None => parsed.positional.push(parse_value(word)),
        }
    }
    parsed
}

/// `name=value`, where the name looks like one and the value does not begin with another `=`.
pub(crate) fn split_name(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let mut characters = name.chars();
    let starts = characters.next().is_some_and(|first| first.is_alphabetic() || first == '_');
    let goes_on =
        characters.all(|character| character.is_alphanumeric() || matches!(character, '_' | '.' | '-'));
    (starts && goes_on && !value.starts_with('=')).then_some((name, value))
}

fn parse_value(word: &str) -> Value {
    let text = || Value::String(word.to_owned());
    let trimmed = word.trim();
    if trimmed == "None" {
        return Value::Null;
    }
    // A `#` would begin a comment, and an empty word would be null.
    if trimmed.is_empty() || (trimmed.contains('#') && !trimmed.starts_with(['[', '{', '"', '\''])) {
        return text();
    }
    let Ok(node) = yaml::parse(word, Path::new("command line")) else { return text() };
    match &node.value {
        Yaml::Map(_) if trimmed.starts_with('{') => node.to_json(),
        Yaml::List(_) if trimmed.starts_with('[') => node.to_json(),
        Yaml::Map(_) | Yaml::List(_) => text(),
        Yaml::Scalar { .. } => match node.to_json() {
            Value::String(_) if !trimmed.starts_with(['"', '\'']) => text(),
            other => other,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::parse_words;

    fn value(word: &str) -> Value {
        parse_words(&[word]).positional.remove(0)
    }

    #[test]
    fn values_are_yaml_where_that_is_meant() {
        let cases = [
            ("True", json!(true)),
            ("yes", json!(true)),
            ("5", json!(5)),
            ("1.5", json!(1.5)),
            ("None", json!(null)),
            ("null", json!(null)),
            ("[a, 1]", json!(["a", 1])),
            ("{a: 1}", json!({"a": 1})),
            ("{'a': True}", json!({"a": true})),
            ("\"5\"", json!("5")),
        ];
        for (word, expect) in cases {
            assert_eq!(value(word), expect, "{word}");
        }
    }

    #[test]
    fn everything_else_stays_the_text_it_is() {
        for word in
            ["0644", "1_000", "a: b", "- a", "#x", "x #y", "", " ", "/etc/motd", "*", "{broken", "a=="]
        {
            assert_eq!(value(word), json!(word), "{word}");
        }
    }

    #[test]
    fn names_are_split_off_their_values() {
        let words =
            parse_words(&["web", "test=True", "saltenv=metalk8s-2.5.1", "pillar={a: {b: 1}}", "x=", "1=2"]);
        assert_eq!(words.positional, [json!("web"), json!("1=2")]);
        assert!(words.is_true("test"));
        assert_eq!(words.text("saltenv"), Some("metalk8s-2.5.1"));
        assert_eq!(words.named["pillar"], json!({"a": {"b": 1}}));
        assert_eq!(words.named["x"], json!(""));
    }
}
