//! The examples of the archive are what this version takes.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use metalk8s_types::{Role, VERSION, labels};
use serde_json::Value;

/// This version, one role, and all that says how a machine is reached but the port.
fn check_node(text: &str, user: &str, sudo: &str) {
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
    assert_eq!(
        (&annotations[labels::SSH_USER], &annotations[labels::SSH_SUDO]),
        (&user.into(), &sudo.into())
    );
}

#[test]
fn the_examples_of_nodes_name_this_version_a_role_and_known_annotations_only() {
    check_node(include_str!("../../../examples/new-node.yaml"), "root", "false");
    check_node(include_str!("../../../examples/new-node_vagrant.yaml"), "vagrant", "true");
}

#[test]
fn the_example_of_volumes_has_one_for_each_service_of_the_size_that_it_needs() {
    let text = include_str!("../../../examples/prometheus-sparse.yaml");
    let volumes = text.split("---\n").map(|text| serde_saphyr::from_str::<Value>(text).unwrap());
    let seen: Vec<[String; 3]> = volumes
        .map(|volume| {
            assert_eq!(volume["kind"], "Volume");
            assert_eq!(volume["spec"]["storageClassName"], "metalk8s-prometheus");
            let spec = &volume["spec"];
            let texts = [&volume["metadata"]["name"], &spec["nodeName"], &spec["sparseLoopDevice"]["size"]];
            texts.map(|text| text.as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(
        seen,
        [["NODE_NAME-prometheus", "NODE_NAME", "10Gi"], ["NODE_NAME-alertmanager", "NODE_NAME", "1Gi"]]
    );
}
