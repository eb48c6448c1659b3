//! `sys`: what functions there are and what they do.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::table::{Ask, FUNCTIONS};
use crate::{functions, sls::requisites_of_states};

/// A function, and what is said about it.
struct Entry {
    name: String,
    doc: String,
}

/// What is asked about functions, or about those of states; with names, only about these functions or modules.
pub(super) fn tell(states: bool, ask: Ask, names: &[String]) -> Value {
    let module = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let asked_for = |entry: &Entry| {
        names.is_empty() || names.contains(&entry.name) || names.contains(&module(&entry.name))
    };
    let mut entries = if states { of_states() } else { of_machine() };
    entries.retain(asked_for);
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    match ask {
        Ask::Names => entries.into_iter().map(|entry| entry.name).collect(),
        Ask::Modules => {
            entries.iter().map(|entry| module(&entry.name)).collect::<BTreeSet<_>>().into_iter().collect()
        }
        Ask::Doc => entries
            .into_iter()
            .map(|entry| (entry.name, Value::from(entry.doc)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

fn of_machine() -> Vec<Entry> {
    let entries = FUNCTIONS.iter().map(|function| {
        let usage = format!("salt-call {} {}", function.name, function.words);
        Entry { name: function.name.to_owned(), doc: format!("{}\n{}", function.about, usage.trim_end()) }
    });
    entries.collect()
}

fn of_states() -> Vec<Entry> {
    let everywhere = requisites_of_states().collect::<Vec<_>>().join(", ");
    let entries = functions::all().map(|function| {
        let arguments = match function.arguments {
            [] => String::new(),
            arguments => format!("\narguments: {}", arguments.join(", ")),
        };
        let doc = format!("{}{arguments}\nas every state: {everywhere}", function.does);
        Entry { name: function.full_name(), doc }
    });
    entries.collect()
}
