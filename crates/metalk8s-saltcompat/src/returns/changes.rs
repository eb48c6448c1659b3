//! What a state changed, under Salt's keys.

use metalk8s_engine::{Change, ChangeKind, Ran, State, state::Removed};
use serde_json::{Map, Value, json};

use super::Told;

impl Told<'_> {
    /// Empty where nothing was changed.
    pub(super) fn changes(&self) -> Value {
        let mut changes = Map::new();
        for change in &self.report.changes {
            changes.extend(self.change(change));
        }
        changes.into()
    }

    fn change(&self, change: &Change) -> Map<String, Value> {
        let (name, is_test) = (self.name(), self.is_test());
        let told = match self.state() {
            State::File(_) if change.kind == ChangeKind::Create && is_test => json!({"newfile": name}),
            State::File(_) if change.kind == ChangeKind::Create => json!({"diff": "New file"}),
            State::File(_) => match diff(change) {
                Some(diff) => json!({ "diff": diff }),
                None => attributes(change, name).unwrap_or_else(|| plain(change)),
            },
            State::Directory(_) if change.kind == ChangeKind::Create => json!({name: {"directory": "new"}}),
            State::Directory(_) => match attributes(change, name) {
                Some(attributes) => {
                    let whole = if is_test { json!({}) } else { attributes.clone() };
                    merged(json!({ name: attributes }), whole)
                }
                None => plain(change),
            },
            State::Symlink(_) if change.kind == ChangeKind::Update && is_test => json!({"change": name}),
            State::Symlink(_) => json!({"new": name}),
            State::Absent(_) => json!({"removed": name}),
            State::Command(_) if is_test => json!({"cmd": name}),
            State::Command(_) => ran(change),
            State::Service(_) if !is_test => json!({name: true}),
            State::FileEdit(_) => match whole_diff(change) {
                Some(diff) => json!({ "diff": diff }),
                None => plain(change),
            },
            State::Trial(_) => {
                json!({"testing": {"old": "Unchanged", "new": "Something pretended to change"}})
            }
            State::Removed(Removed::User { .. }) => json!({name: "removed"}),
            State::Removed(Removed::Group { .. }) => json!({name: ""}),
            State::Removed(Removed::HostsName { .. }) => json!({"host": name}),
            State::Removed(Removed::Mount { .. }) => json!({"umount": true}),
            _ => plain(change),
        };
        match told {
            Value::Object(told) => told,
            _ => Map::new(),
        }
    }
}

/// The engine's own words, under the kind of the change.
fn plain(change: &Change) -> Value {
    let kind = match change.kind {
        ChangeKind::Create => "created",
        ChangeKind::Update => "changed",
        ChangeKind::Remove => "removed",
        ChangeKind::Run => "run",
        ChangeKind::Wait => "waited",
    };
    json!({kind: change.summary})
}

/// How a command ended, with the blanks at the ends of what it said removed as Salt does.
fn ran(change: &Change) -> Value {
    match &change.ran {
        Some(Ran { pid, status, stdout, stderr }) => {
            json!({"pid": pid, "retcode": status, "stdout": stdout.trim_end(), "stderr": stderr.trim_end()})
        }
        None => json!({"retcode": 0}),
    }
}

fn diff(change: &Change) -> Option<String> {
    change.before.as_ref().and(change.after.as_ref())?;
    whole_diff(change)
}

/// The same, also of what is new. Nothing where the texts may not be shown.
fn whole_diff(change: &Change) -> Option<String> {
    let diff = change.diff();
    (!diff.is_empty()).then(|| format!("--- \n+++ \n{diff}"))
}

/// The new mode, user and group, of the host's words `change /path: mode 0644 to 0600, owner 0 to alice`.
fn attributes(change: &Change, path: &str) -> Option<Value> {
    let differences = change.summary.strip_prefix("change ")?.strip_prefix(path)?.strip_prefix(": ")?;
    let attributes = differences.split(", ").map(|difference| {
        let (attribute, values) = difference.split_once(' ')?;
        let attribute = if attribute == "owner" { "user" } else { attribute };
        let (_, new) = values.rsplit_once(" to ")?;
        Some((attribute.to_owned(), Value::from(new)))
    });
    attributes.collect::<Option<Map<_, _>>>().map(Value::Object)
}

fn merged(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}
