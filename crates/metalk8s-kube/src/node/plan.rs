//! What a Node lacks.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Taint as NodeTaint};
use metalk8s_engine::{
    Change, ChangeKind,
    state::{NodeMetadata, Taint, TaintEffect},
};
use serde_json::{Value, json};

/// What a Node lacks, and the merge patch (RFC 7386) that gives it.
#[derive(Debug, PartialEq)]
pub(super) struct Missing {
    pub(super) change: Change,
    pub(super) patch: Value,
}

/// The difference between the Node and the wish; whatever else the Node has stays.
pub(super) fn missing(node: &Node, wish: &NodeMetadata) -> Option<Missing> {
    let labels = lacking(node.metadata.labels.as_ref(), &wish.labels);
    let annotations = lacking(node.metadata.annotations.as_ref(), &wish.annotations);
    let before = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let after = with_taints(before.clone(), &wish.taints);
    if labels.is_empty() && annotations.is_empty() && before == after {
        return None;
    }

    let mut words = Vec::new();
    let named = |what: &str, keys: Vec<&str>| format!("{what} {}", keys.join(", "));
    if !labels.is_empty() {
        words.push(named("label", labels.keys().map(|key| key.as_str()).collect()));
    }
    if !annotations.is_empty() {
        words.push(named("annotation", annotations.keys().map(|key| key.as_str()).collect()));
    }
    let mut metadata = json!({"labels": labels, "annotations": annotations});
    let mut patch = json!({});
    if before != after {
        let new = after.iter().filter(|taint| !before.contains(taint)).map(|taint| taint.key.as_str());
        words.push(named("taint", new.collect()));
        patch["spec"] = json!({"taints": after});
        // The server refuses the patch if the Node is not the one that was read.
        metadata["resourceVersion"] = json!(node.metadata.resource_version);
    }
    patch["metadata"] = metadata;
    Some(Missing {
        change: Change {
            before: Some(show(
                node.metadata.labels.as_ref(),
                node.metadata.annotations.as_ref(),
                &labels,
                &annotations,
                &before,
            )),
            after: Some(show(Some(&labels), Some(&annotations), &labels, &annotations, &after)),
            ..Change::new(ChangeKind::Update, format!("give Node `{}` the {}", wish.node, words.join("; ")))
        },
        patch,
    })
}

/// The wished entries that are not there, or differ.
fn lacking(
    there: Option<&BTreeMap<String, String>>,
    wished: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let is_there = |key: &String, value: &String| there.and_then(|there| there.get(key)) == Some(value);
    wished
        .iter()
        .filter(|(key, value)| !is_there(key, value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// The taints with the wished ones among them; key and effect together tell one taint from another.
fn with_taints(mut taints: Vec<NodeTaint>, wished: &[Taint]) -> Vec<NodeTaint> {
    for wish in wished {
        let effect = effect(wish.effect);
        match taints.iter_mut().find(|taint| taint.key == wish.key && taint.effect == effect) {
            Some(taint) if taint.value.as_deref().unwrap_or_default() == wish.value => {}
            Some(taint) => taint.value = value(wish),
            None => taints.push(NodeTaint {
                key: wish.key.clone(),
                value: value(wish),
                effect: effect.to_owned(),
                time_added: None,
            }),
        }
    }
    taints
}

fn value(taint: &Taint) -> Option<String> {
    (!taint.value.is_empty()).then(|| taint.value.clone())
}

fn effect(effect: TaintEffect) -> &'static str {
    match effect {
        TaintEffect::NoSchedule => "NoSchedule",
        TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        TaintEffect::NoExecute => "NoExecute",
    }
}

/// One line for each entry that the wish touches, and for each taint.
fn show(
    labels: Option<&BTreeMap<String, String>>,
    annotations: Option<&BTreeMap<String, String>>,
    touched_labels: &BTreeMap<String, String>,
    touched_annotations: &BTreeMap<String, String>,
    taints: &[NodeTaint],
) -> String {
    let mut lines = String::new();
    for (what, there, touched) in
        [("label", labels, touched_labels), ("annotation", annotations, touched_annotations)]
    {
        for key in touched.keys() {
            if let Some(value) = there.and_then(|there| there.get(key)) {
                lines.push_str(&format!("{what} {key}={value}\n"));
            }
        }
    }
    for taint in taints {
        let value = taint.value.as_deref().unwrap_or_default();
        lines.push_str(&format!("taint {}={value}:{}\n", taint.key, taint.effect));
    }
    lines
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::NodeSpec;

    use super::*;

    fn taint(key: &str, value: Option<&str>, effect: &str) -> NodeTaint {
        NodeTaint { key: key.into(), value: value.map(Into::into), effect: effect.into(), time_added: None }
    }

    fn node(labels: &[(&str, &str)], taints: Vec<NodeTaint>) -> Node {
        let mut node = Node::default();
        node.metadata.resource_version = Some("7".into());
        node.metadata.labels =
            Some(labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect());
        node.spec = Some(NodeSpec { taints: Some(taints), ..NodeSpec::default() });
        node
    }

    fn wish() -> NodeMetadata {
        NodeMetadata {
            node: "n1".into(),
            labels: BTreeMap::from([("role/infra".into(), String::new())]),
            annotations: BTreeMap::new(),
            taints: vec![Taint {
                key: "role/infra".into(),
                value: String::new(),
                effect: TaintEffect::NoSchedule,
            }],
        }
    }

    #[test]
    fn a_node_that_has_everything_needs_nothing() {
        let node = node(&[("role/infra", ""), ("x", "y")], vec![taint("role/infra", None, "NoSchedule")]);
        assert_eq!(missing(&node, &wish()), None);
        let empty_value = taint("role/infra", Some(""), "NoSchedule");
        let node = self::node(&[("role/infra", "")], vec![empty_value]);
        assert_eq!(missing(&node, &wish()), None);
    }

    #[test]
    fn taints_of_others_stay_and_the_list_is_guarded_by_its_version() {
        let node = node(&[], vec![taint("other", Some("v"), "NoExecute")]);
        let missing = missing(&node, &wish()).unwrap();
        assert_eq!(
            missing.patch,
            json!({
                "spec": {"taints": [
                    {"key": "other", "value": "v", "effect": "NoExecute"},
                    {"key": "role/infra", "effect": "NoSchedule"},
                ]},
                "metadata": {"labels": {"role/infra": ""}, "annotations": {}, "resourceVersion": "7"},
            })
        );
        assert_eq!(missing.change.summary, "give Node `n1` the label role/infra; taint role/infra");
        assert_eq!(missing.change.before.unwrap(), "taint other=v:NoExecute\n");
        assert_eq!(
            missing.change.after.unwrap(),
            "label role/infra=\ntaint other=v:NoExecute\ntaint role/infra=:NoSchedule\n"
        );
    }

    #[test]
    fn labels_alone_are_written_whoever_else_writes() {
        let node = node(&[("role/infra", "old")], vec![taint("role/infra", None, "NoSchedule")]);
        let missing = missing(&node, &wish()).unwrap();
        assert_eq!(missing.patch, json!({"metadata": {"labels": {"role/infra": ""}, "annotations": {}}}));
    }

    #[test]
    fn the_same_key_with_another_effect_is_another_taint() {
        let taints = with_taints(vec![taint("role/infra", None, "NoExecute")], &wish().taints);
        assert_eq!(taints.len(), 2);
        let mut wished = wish().taints;
        wished[0].value = "new".into();
        let taints = with_taints(vec![taint("role/infra", Some("old"), "NoSchedule")], &wished);
        assert_eq!(taints, [taint("role/infra", Some("new"), "NoSchedule")]);
    }
}
