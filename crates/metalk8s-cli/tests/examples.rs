//! The examples of the archive are what this version takes.

use metalk8s_types::{Role, VERSION, labels};
use serde_json::Value;

#[test]
fn the_example_of_a_node_names_this_version_a_role_and_known_annotations_only() {
    let text = include_str!("../../../examples/new-node.yaml");
    let node: Value = serde_saphyr::from_str(text).unwrap();
    assert_eq!((&node["apiVersion"], &node["kind"]), (&"v1".into(), &"Node".into()));
    let labels = node["metadata"]["labels"].as_object().unwrap();
    assert_eq!(labels[labels::VERSION], VERSION);
    let roles: Vec<Role> =
        labels.keys().filter_map(|key| key.strip_prefix(labels::ROLE_PREFIX)?.parse().ok()).collect();
    assert_eq!((roles.as_slice(), labels.len()), (&[Role::Node][..], 2));
    let known = [labels::SSH_HOST, labels::SSH_USER, labels::SSH_KEY_PATH, labels::SSH_SUDO];
    let annotations = node["metadata"]["annotations"].as_object().unwrap();
    let names: Vec<&str> = annotations.keys().map(String::as_str).collect();
    assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    assert_eq!(names.len(), known.len());
}
