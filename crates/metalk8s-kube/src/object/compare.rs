//! What is different between two states of an object, as far as it may be shown.

use metalk8s_engine::{Change, ChangeKind};
use serde_json::{Map, Value};

/// What the server keeps about an object and nobody wishes for.
const KEPT_BY_THE_SERVER: [&str; 6] =
    ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"];

/// kubectl's copy of the whole object, which would show the data of a Secret.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The change from what is there to what would be; `None` where nobody could tell the difference.
pub(super) fn change(before: Option<&Value>, after: &Value) -> Option<Change> {
    let name = name(after);
    let after = wished_part(after);
    let before = before.map(wished_part);
    if before.as_ref() == Some(&after) {
        return None;
    }
    let (kind, summary) = match before {
        None => (ChangeKind::Create, format!("create {name}")),
        Some(_) => (ChangeKind::Update, format!("update {name}")),
    };
    Some(Change {
        before: before.as_ref().map(|before| show(before, None)),
        after: Some(show(&after, before.as_ref())),
        ..Change::new(kind, summary)
    })
}

fn name(object: &Value) -> String {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
    let (kind, name) = (text("/kind").unwrap_or_default(), text("/metadata/name").unwrap_or_default());
    match text("/metadata/namespace") {
        Some(namespace) => format!("{kind} `{namespace}/{name}`"),
        None => format!("{kind} `{name}`"),
    }
}

/// The object without what only the server writes.
fn wished_part(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|key, _| !KEPT_BY_THE_SERVER.contains(&key.as_str()));
        }
    }
    sorted(object)
}

/// The same value with the keys of all maps in order, so that texts can be compared line by line.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().collect();
            fields.sort_by(|(one, _), (other, _)| one.cmp(other));
            Value::Object(fields.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// The object as YAML; the values of a Secret only as whether they differ from `before`.
fn show(object: &Value, before: Option<&Value>) -> String {
    let shown = if is_secret(object) { redacted(object, before) } else { object.clone() };
    // A long line stays one line, so that a difference shows as the line that differs.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(&shown, options).unwrap_or_else(|_| shown.to_string())
}

fn is_secret(object: &Value) -> bool {
    object["apiVersion"] == "v1" && object["kind"] == "Secret"
}

fn redacted(secret: &Value, before: Option<&Value>) -> Value {
    let mut shown = secret.clone();
    for part in ["data", "stringData"] {
        let old = before.and_then(|before| before[part].as_object());
        match shown.get_mut(part) {
            Some(Value::Object(values)) => hide(values, old),
            Some(other) => *other = Value::from("<hidden>"),
            None => {}
        }
    }
    if let Some(annotations) = shown.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    shown
}

fn hide(values: &mut Map<String, Value>, old: Option<&Map<String, Value>>) {
    for (key, value) in values {
        let differs = old.is_some_and(|old| old.get(key) != Some(&*value));
        *value = Value::from(if differs { "<hidden, different>" } else { "<hidden>" });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn live() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "a", "namespace": "n", "uid": "1-2", "generation": 4, "resourceVersion": "77",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "managedFields": [{"manager": "metalk8s-a"}],
                "labels": {"b": "2", "a": "1"},
            },
            "spec": {"replicas": 2},
            "status": {"replicas": 2},
        })
    }

    #[test]
    fn what_only_the_server_writes_is_no_change() {
        let mut after = live();
        after["metadata"]["managedFields"] = json!([]);
        after["metadata"]["resourceVersion"] = json!("78");
        after["metadata"]["generation"] = json!(5);
        after["metadata"]["labels"] = json!({"a": "1", "b": "2"});
        after["status"] = json!({});
        assert_eq!(change(Some(&live()), &after), None);
    }

    #[test]
    fn a_changed_field_is_an_update_that_shows_both_texts() {
        let mut after = live();
        after["spec"]["replicas"] = json!(3);
        let change = change(Some(&live()), &after).unwrap();
        assert_eq!(change.kind, ChangeKind::Update);
        assert_eq!(change.summary, "update Deployment `n/a`");
        assert!(change.before.unwrap().contains("replicas: 2"));
        let after = change.after.unwrap();
        assert!(after.contains("replicas: 3") && !after.contains("managedFields"), "{after}");
    }

    #[test]
    fn texts_of_several_lines_stay_readable_and_long_lines_whole() {
        let line = "word ".repeat(60) + "end";
        let object = json!({"kind": "ConfigMap", "data": {"long": line, "many": "one\ntwo\n"}});
        let after = change(None, &object).unwrap().after.unwrap();
        assert!(after.contains(&line), "{after}");
        assert!(after.contains("many: |\n    one\n    two\n"), "{after}");
    }

    #[test]
    fn an_object_that_is_not_there_is_created() {
        let change = change(None, &live()).unwrap();
        assert_eq!((change.kind, change.before), (ChangeKind::Create, None));
        assert_eq!(change.summary, "create Deployment `n/a`");
    }

    fn secret(data: Value) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "s", "namespace": "n", "annotations": {LAST_APPLIED: "geheim"}},
            "data": data,
        })
    }

    #[test]
    fn a_secret_shows_which_values_differ_and_none_of_them() {
        let before = secret(json!({"same": "geheim0", "other": "geheim1"}));
        let after = secret(json!({"same": "geheim0", "other": "geheim2", "new": "geheim3"}));
        let change = change(Some(&before), &after).unwrap();
        let shown = format!("{change:?}");
        assert!(!shown.contains("geheim"), "{shown}");
        let after = change.after.unwrap();
        assert!(after.contains("same: <hidden>\n"), "{after}");
        assert!(after.contains("other: <hidden, different>\n"), "{after}");
        assert!(after.contains("new: <hidden, different>\n"), "{after}");
    }

    proptest! {
        #[test]
        fn no_value_of_a_secret_is_ever_shown(
            values in proptest::collection::btree_map("[a-z]{1,4}", "Q[0-9]{6}Q", 1..5),
            texts in proptest::collection::btree_map("[a-z]{1,4}", "Q[0-9]{6}Q", 0..5),
        ) {
            let mut object = secret(json!(values));
            object["stringData"] = json!(texts);
            for before in [None, Some(secret(json!({})))] {
                let shown = format!("{:?}", change(before.as_ref(), &object));
                prop_assert!(!shown.contains('Q'), "{shown}");
            }
        }
    }
}
