//! Results as Salt's commands print them (`--out`).

mod answers;
mod highstate;
mod indent;
mod job;
mod nested;
mod orchestration;
pub(crate) mod python;

use std::str::FromStr;

use metalk8s_diagnostics::Paint;
use serde_json::{Map, Value};

use indent::{json, yaml};

pub use answers::{Answer, Form, answer, together};
pub use highstate::StateOutput;
pub use indent::Indent;
pub use job::{FAILED, NO_MATCH, NO_RETURN, docs, docs_of, executed, heading, is_done, summary};
pub use orchestration::{MASTER, Orchestrated, StepEnded, envelope_of, of_master};

/// How a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Out {
    /// Indented, for people; states as the list with a summary.
    #[default]
    Nested,
    /// The list of states with a summary, whatever the result is.
    Highstate,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// One line per value.
    Txt,
    /// One line in Python's words.
    Raw,
    /// The values alone, one per line.
    NewlineValuesOnly,
    /// Nothing.
    Quiet,
}

const NAMES: [(&str, Out); 8] = [
    ("nested", Out::Nested),
    ("highstate", Out::Highstate),
    ("json", Out::Json),
    ("yaml", Out::Yaml),
    ("txt", Out::Txt),
    ("raw", Out::Raw),
    ("newline_values_only", Out::NewlineValuesOnly),
    ("quiet", Out::Quiet),
];

impl FromStr for Out {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, out)| *out).ok_or_else(|| {
            let names: Vec<String> = NAMES.iter().map(|(name, _)| format!("`{name}`")).collect();
            format!("`{text}` is none of {}", names.join(", "))
        })
    }
}

/// Why a result could not be printed.
#[derive(Debug, thiserror::Error)]
#[error("could not write the result as YAML")]
pub struct OutputError(#[source] serde_saphyr::ser::Error);

/// Prints any result of a node, ended by a line break; `id` is `local` for `salt-call`. Only what is for people
/// is coloured.
///
/// # Errors
/// When it cannot be written as YAML.
pub fn value(id: &str, value: &Value, out: Out, paint: Paint) -> Result<String, OutputError> {
    let whole = || Value::Object(Map::from_iter([(id.to_owned(), value.clone())]));
    Ok(match out {
        Out::Nested | Out::Highstate => nested::display(&whole(), 0, paint),
        Out::Json | Out::Yaml | Out::Raw => document(&whole(), out, Indent::default())?,
        Out::Txt => txt(id, value),
        Out::NewlineValuesOnly => values_only(value),
        Out::Quiet => String::new(),
    })
}

/// Prints what a state function returned ([`crate::state_return`]), ended by a line break.
///
/// # Errors
/// When it cannot be written as YAML.
pub fn states(
    id: &str,
    returned: &Map<String, Value>,
    out: Out,
    detail: StateOutput,
    paint: Paint,
) -> Result<String, OutputError> {
    match out {
        Out::Nested | Out::Highstate => Ok(highstate::display(id, returned, detail, paint)),
        _ => value(id, &Value::Object(returned.clone()), out, paint),
    }
}

/// Any value as a document; the forms for people have none.
fn document(value: &Value, out: Out, indent: Indent) -> Result<String, OutputError> {
    Ok(match out {
        Out::Json => json(value, indent),
        Out::Yaml => yaml(value, indent).map_err(OutputError)?,
        Out::Raw => format!("{}\n", python::repr(value)),
        Out::Nested | Out::Highstate | Out::Txt | Out::NewlineValuesOnly | Out::Quiet => String::new(),
    })
}

/// Prints what a runner returned, which stands under no name, ended by a line break.
///
/// # Errors
/// When it cannot be written as YAML.
pub fn bare(value: &Value, form: &Form) -> Result<String, OutputError> {
    let Form { out, detail: _, indent, paint } = *form;
    Ok(match (out, value) {
        (Out::Nested | Out::Highstate, value) => nested::display(value, 0, paint),
        (Out::Raw, Value::String(text)) => format!("{text}\n"),
        (Out::Json | Out::Yaml | Out::Raw, value) => document(value, out, indent)?,
        (Out::Txt, Value::Object(map)) => map.iter().map(|(name, value)| txt(name, value)).collect(),
        (Out::Txt, value) => format!("{}\n", python::plain(value)),
        (Out::NewlineValuesOnly, value) => values_only(value),
        (Out::Quiet, _) => String::new(),
    })
}

fn txt(id: &str, value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => String::new(),
        Value::String(text) => text.lines().map(|line| format!("{id}: {line}\n")).collect(),
        other => format!("{id}: {}\n", python::repr(other)),
    }
}

fn values_only(value: &Value) -> String {
    match value {
        Value::Array(items) => items.iter().map(values_only).collect(),
        Value::Object(map) => map.values().map(values_only).collect(),
        other => format!("{}\n", python::plain(other)),
    }
}

#[cfg(test)]
mod tests {
    use metalk8s_diagnostics::Paint;
    use serde_json::{Value, json};

    use super::{Form, Indent, Out, bare, value};

    fn check(result: &Value, out: &str, expect: &str) {
        assert_eq!(value("local", result, out.parse().unwrap(), Paint::default()).unwrap(), expect, "{out}");
    }

    #[test]
    fn a_text_is_printed_in_every_form() {
        let ip = json!("10.0.0.1");
        check(&ip, "nested", "local:\n    10.0.0.1\n");
        check(&ip, "json", "{\n    \"local\": \"10.0.0.1\"\n}\n");
        check(&ip, "yaml", "local: \"10.0.0.1\"\n");
        check(&ip, "txt", "local: 10.0.0.1\n");
        check(&ip, "raw", "{'local': '10.0.0.1'}\n");
        check(&ip, "newline_values_only", "10.0.0.1\n");
        check(&ip, "quiet", "");
    }

    #[test]
    fn what_is_missing_prints_the_id_alone() {
        check(&json!(""), "nested", "local:\n");
    }

    #[test]
    fn trees_are_nested_as_salt_nests_them() {
        let tree =
            json!({"b": {"x": true, "empty": []}, "a": ["one", {"k": 1, "l": null}, ["two"]], "t": "1\n2"});
        check(
            &tree,
            "nested",
            "local:\n    ----------\n    a:\n        - one\n        |_\n          ----------\n          k:\n              1\n          l:\n              None\n        |_\n          - two\n    b:\n        ----------\n        empty:\n        x:\n            True\n    t:\n        1\n        2\n",
        );
        check(&json!({}), "nested", "local:\n    ----------\n");
        check(&json!({"a": [1, true, null, "it's"]}), "txt", "local: {'a': [1, True, None, \"it's\"]}\n");
    }

    #[test]
    fn names_texts_and_other_values_have_their_colours_and_data_have_none() {
        let printed = |out: &str| {
            value("local", &json!({"a": ["x", 1]}), out.parse().unwrap(), Paint::new(true)).unwrap()
        };
        assert_eq!(
            printed("nested"),
            "\u{1b}[36mlocal:\u{1b}[0m\n    \u{1b}[36m----------\u{1b}[0m\n    \u{1b}[36ma:\u{1b}[0m\n        \
             \u{1b}[32m- x\u{1b}[0m\n        \u{1b}[33m- 1\u{1b}[0m\n"
        );
        for out in ["json", "yaml", "txt", "raw", "newline_values_only"] {
            assert!(!printed(out).contains('\u{1b}'), "{out}");
        }
    }

    #[test]
    fn results_of_runners_stand_under_no_name() {
        let check = |result: &Value, out: &str, expect: &str| {
            let form = Form { out: out.parse().unwrap(), ..Form::default() };
            assert_eq!(bare(result, &form).unwrap(), expect, "{out}");
        };
        let status = json!({"up": ["a", "b"], "down": []});
        check(&status, "nested", "down:\nup:\n    - a\n    - b\n");
        check(&status, "yaml", "up:\n- a\n- b\ndown: []\n");
        check(&status, "txt", "up: ['a', 'b']\ndown: []\n");
        check(&status, "raw", "{'up': ['a', 'b'], 'down': []}\n");
        check(&json!(["a", "b"]), "nested", "- a\n- b\n");
        check(&json!(["a", "b"]), "json", "[\n    \"a\",\n    \"b\"\n]\n");
        check(&json!(["a", "b"]), "txt", "['a', 'b']\n");
        check(&json!("a\nx"), "nested", "a\nx\n");
        check(&json!("a\nx"), "raw", "a\nx\n");
        check(&json!("a\nx"), "txt", "a\nx\n");
        check(&json!(false), "nested", "False\n");
        check(&json!({}), "nested", "");
        check(&status, "quiet", "");
    }

    #[test]
    fn yaml_is_indented_as_wished_and_json_where_nobody_says_how() {
        let tree = json!({"local": {"a": {"b": 1}}});
        let printed = |out: &str, indent: Indent| {
            bare(&tree, &Form { out: out.parse().unwrap(), indent, ..Form::default() }).unwrap()
        };
        let by_two = "local:\n  a:\n    b: 1\n";
        assert_eq!(printed("yaml", Indent::Usual), by_two);
        assert_eq!(printed("yaml", Indent::from(0)), by_two);
        assert_eq!(printed("yaml", Indent::from(4)), "local:\n    a:\n        b: 1\n");
        assert_eq!(printed("yaml", Indent::from(-1)), "{\"local\": {\"a\": {\"b\": 1}}}\n");
        assert!(printed("json", Indent::Usual).starts_with("{\n    \"local\": {\n        \"a\""));
    }

    #[test]
    fn an_unknown_form_names_the_known_ones() {
        assert!("xml".parse::<Out>().unwrap_err().contains("`nested`"));
    }
}
