//! What `salt-key` prints.

use std::collections::BTreeMap;

use metalk8s_diagnostics::Paint;
use serde_json::{Map, Value, json};

use super::{KeyChange, KeyStatus, Keys, Listed};
use crate::output::{Form, Out, OutputError, bare};

impl KeyStatus {
    fn heading(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted Keys:",
            Self::Denied => "Denied Keys:",
            Self::Unaccepted => "Unaccepted Keys:",
            Self::Rejected => "Rejected Keys:",
        }
    }

    /// As programs read it.
    pub(crate) fn field(self) -> &'static str {
        match self {
            Self::Accepted => "minions",
            Self::Denied => "minions_denied",
            Self::Unaccepted => "minions_pre",
            Self::Rejected => "minions_rejected",
        }
    }

    fn paint(self, paint: Paint, text: &str) -> String {
        match self {
            Self::Accepted => paint.green(text),
            Self::Denied => paint.yellow(text),
            Self::Unaccepted => paint.red(text),
            Self::Rejected => paint.cyan(text),
        }
    }
}

impl KeyChange {
    fn participle(self) -> &'static str {
        match self {
            Self::Accept { .. } => "accepted",
            Self::Reject { .. } => "rejected",
            Self::Delete => "deleted",
        }
    }
}

/// The names, each state under its heading, also where there is none.
///
/// # Errors
/// When they cannot be written as YAML.
pub fn list(keys: &Keys, listed: Listed, form: &Form) -> Result<String, OutputError> {
    let parts = keys.by_status().into_iter().filter(|(status, _)| match listed {
        Listed::All => true,
        Listed::Only(only) => *status == only,
    });
    names(parts, form)
}

/// The same of keys that were picked: only states that have any.
///
/// # Errors
/// When they cannot be written as YAML.
pub fn touched(keys: &Keys, form: &Form) -> Result<String, OutputError> {
    names(keys.by_status().into_iter().filter(|(_, names)| !names.is_empty()), form)
}

/// Keys or their fingerprints beside the names; keys that have none are left out.
///
/// # Errors
/// When they cannot be written as YAML.
pub fn told(keys: &Keys, texts: &BTreeMap<String, String>, form: &Form) -> Result<String, OutputError> {
    let mut printed = String::new();
    let mut data = Map::new();
    for (status, names) in keys.by_status() {
        let told: BTreeMap<&String, &String> =
            names.iter().filter_map(|name| texts.get_key_value(name)).collect();
        if told.is_empty() {
            continue;
        }
        printed.push_str(&heading(status, form.paint));
        for (name, text) in &told {
            printed.push_str(&line(status, &format!("{name}:  {text}"), form.paint));
        }
        data.insert(status.field().to_owned(), json!(told));
    }
    finished(printed, data, form)
}

/// What is asked before keys are changed: what is shown above the keys, and below them.
pub fn question(change: KeyChange) -> (String, &'static str) {
    let head = format!("The following keys are going to be {}:\n", change.participle());
    let prompt = match change {
        KeyChange::Accept { .. } | KeyChange::Reject { .. } => "Proceed? [n/Y] ",
        KeyChange::Delete => "Proceed? [N/y] ",
    };
    (head, prompt)
}

/// What is said once keys are changed.
pub fn changed(change: KeyChange, keys: &Keys) -> String {
    let names = keys.by_status().into_iter().flat_map(|(_, names)| names);
    names.map(|name| format!("Key for minion {} {}.\n", plain(name), change.participle())).collect()
}

/// What is said where no key is as the pattern says.
pub fn no_match(change: KeyChange, pattern: &str) -> String {
    let states = match change {
        KeyChange::Accept { rejected, denied } => among(&[(rejected, "rejected"), (denied, "denied")]),
        KeyChange::Reject { accepted, denied } => among(&[(accepted, "accepted"), (denied, "denied")]),
        KeyChange::Delete => "accepted, unaccepted or rejected".to_owned(),
    };
    format!("The key glob '{pattern}' does not match any {states} keys.\n")
}

fn among(others: &[(bool, &str)]) -> String {
    let mut states = vec!["unaccepted"];
    states.extend(others.iter().filter(|(wanted, _)| *wanted).map(|(_, state)| *state));
    match &states[..] {
        [states @ .., last] if !states.is_empty() => format!("{} or {last}", states.join(", ")),
        states => states.join(", "),
    }
}

fn names<'k>(
    parts: impl Iterator<Item = (KeyStatus, &'k [String])>,
    form: &Form,
) -> Result<String, OutputError> {
    let mut printed = String::new();
    let mut data = Map::new();
    for (status, names) in parts {
        let mut names: Vec<&String> = names.iter().collect();
        names.sort();
        printed.push_str(&heading(status, form.paint));
        printed.extend(names.iter().map(|name| line(status, name, form.paint)));
        data.insert(status.field().to_owned(), json!(names));
    }
    finished(printed, data, form)
}

fn finished(printed: String, data: Map<String, Value>, form: &Form) -> Result<String, OutputError> {
    match form.out {
        Out::Nested | Out::Highstate => Ok(printed),
        Out::Json | Out::Yaml | Out::Txt | Out::Raw | Out::NewlineValuesOnly | Out::Quiet => {
            bare(&data.into(), form)
        }
    }
}

fn heading(status: KeyStatus, paint: Paint) -> String {
    format!("{}\n", status.paint(paint, status.heading()))
}

fn line(status: KeyStatus, text: &str, paint: Paint) -> String {
    format!("{}\n", status.paint(paint, &plain(text)))
}

/// Whoever asks for a key chose its name: it must not command the terminal.
fn plain(text: &str) -> String {
    text.replace('\u{1b}', "?")
}
