//! Objects of a cluster, without what each cluster has of its own.

use anyhow::{Context, Result};
use regex::Regex;
use serde_json::{Map, Value};

use super::Listing;
use crate::{
    machine::Machine,
    suite::cluster::{kubectl, kubectl_json},
};

/// Not wished for by anybody, but written down by programs as they go.
const PASSING: [&str; 10] = [
    "bindings",
    "certificatesigningrequests.certificates.k8s.io",
    "componentstatuses",
    "controllerrevisions.apps",
    "events",
    "events.events.k8s.io",
    "ipaddresses.networking.k8s.io",
    "ipamhandles.crd.projectcalico.org",
    "leases.coordination.k8s.io",
    "replicasets.apps",
];

/// Annotation of what the kubelet tells of its static pods.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Parts of the metadata that the API server fills in.
const FILLED_IN: [&str; 8] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "managedFields",
    "ownerReferences",
    "selfLink",
    "generateName",
];

pub(super) fn collect(machine: &Machine) -> Result<Listing> {
    let kinds = kubectl(machine, "api-resources --verbs list --output name")?;
    let kinds: Vec<_> = kinds.lines().filter(|kind| !PASSING.contains(kind)).collect();
    let list =
        kubectl_json(machine, &format!("get {} --all-namespaces --show-managed-fields", kinds.join(",")))?;
    let items = list["items"].as_array().context("the list of objects has no items")?;
    // The manifests of static pods are files; the API comes to know them in its own time.
    let wished = items.iter().filter(|object| object["metadata"]["annotations"][MIRROR].is_null());
    Ok(Listing::new(wished.map(described)))
}

fn described(object: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, namespace) = (text(&object["kind"]), text(&object["metadata"]["namespace"]));
    let name = name(object, &text(&object["metadata"]["name"]));
    let mut object = object.clone();
    // What is left of a pod made by a controller is in the controller's object.
    if kind == "Pod"
        || ["IPAMBlock", "BlockAffinity", "ClusterInformation", "EndpointSlice", "Endpoints"]
            .contains(&kind.as_str())
    {
        object = Value::Null;
    }
    if kind == "Service" && !is_asked_for(&object, "f:clusterIP") {
        for key in ["clusterIP", "clusterIPs"] {
            object["spec"][key] = Value::Null;
        }
    }
    plain(&mut object);
    (format!("{kind} {namespace}/{name}"), without_times(&object.to_string()))
}

/// Whether somebody has applied this field of the specification; else the API server has chosen it.
fn is_asked_for(object: &Value, field: &str) -> bool {
    let managers = object["metadata"]["managedFields"].as_array();
    managers
        .into_iter()
        .flatten()
        .any(|manager| manager["operation"] == "Apply" && !manager["fieldsV1"]["f:spec"][field].is_null())
}

/// Without the random end of names that were made up by a controller.
fn name(object: &Value, name: &str) -> String {
    let is_made_up = object["metadata"]["generateName"].is_string()
        || ["IPAMBlock", "BlockAffinity"].contains(&object["kind"].as_str().unwrap_or_default());
    match object["metadata"]["generateName"].as_str() {
        Some(start) => format!("{start}*"),
        None if is_made_up => "*".to_owned(),
        None => name.to_owned(),
    }
}

/// Calico keeps a copy of the metadata in an annotation; the API server notes a day in a ConfigMap.
fn without_times(text: &str) -> String {
    let Ok(time) = Regex::new(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?Z)?") else { return text.to_owned() };
    time.replace_all(text, "TIME").into_owned()
}

fn plain(object: &mut Value) {
    let Value::Object(fields) = object else { return };
    for own in ["status", "caBundle"] {
        fields.remove(own);
    }
    if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
        for key in FILLED_IN {
            metadata.remove(key);
        }
    }
    // Keys, tokens and authorities: which there are is compared, and not what they are.
    let is_secret = fields.get("kind").is_some_and(|kind| kind == "Secret");
    for key in ["data", "stringData", "binaryData"] {
        if let Some(Value::Object(data)) = fields.get_mut(key) {
            data.values_mut()
                .filter(|value| is_secret || is_own(value))
                .for_each(|value| *value = Value::Null);
        }
    }
    let spec = fields.get_mut("spec").and_then(Value::as_object_mut);
    spec.into_iter().for_each(plain_spec);
}

fn plain_spec(spec: &mut Map<String, Value>) {
    spec.remove("clusterGUID");
    let template = spec.get_mut("template").and_then(|template| template.get_mut("metadata"));
    if let Some(Value::Object(metadata)) = template {
        metadata.remove("creationTimestamp");
    }
}

fn is_own(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.contains("-----BEGIN ") || text.contains("certificate-authority-data"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn two_clusters_differ_in_identities_and_not_in_wishes() {
        let object = |uid: &str, replicas: u32| {
            described(&json!({
                "kind": "Deployment",
                "metadata": {"name": "coredns", "namespace": "kube-system", "uid": uid, "labels": {"a": "b"}},
                "spec": {"replicas": replicas, "since": format!("2026-11-21T03:22:4{}Z", uid.len())},
                "status": {"readyReplicas": uid.len()},
            }))
        };
        assert_eq!(object("x", 2), object("yy", 2));
        assert_ne!(object("x", 2), object("x", 3));
        assert_eq!(object("x", 2).0, "Deployment kube-system/coredns");
    }

    #[test]
    fn an_address_that_somebody_has_asked_for_is_compared_and_no_other() {
        let service = |address: &str, asked: Value| {
            let managers = json!([{"operation": "Apply", "fieldsV1": {"f:spec": asked}}]);
            let metadata = json!({"name": "dns", "managedFields": managers});
            let spec = json!({"clusterIP": address, "clusterIPs": [address]});
            described(&json!({"kind": "Service", "metadata": metadata, "spec": spec}))
        };
        assert_eq!(service("10.96.0.7", json!({})), service("10.96.0.8", json!({})));
        let asked = json!({"f:clusterIP": {}});
        assert_ne!(service("10.96.0.7", asked.clone()), service("10.96.0.8", asked));
    }

    #[test]
    fn a_day_and_what_a_secret_holds_are_not_compared() {
        let object = |kind: &str, text: &str| {
            described(&json!({"kind": kind, "metadata": {"name": "a"}, "data": {"a": text}})).1
        };
        assert_eq!(object("ConfigMap", "2026-11-25"), object("ConfigMap", "2026-11-26"));
        assert_eq!(object("Secret", "eA=="), object("Secret", "eQ=="));
        assert_ne!(object("ConfigMap", "eA=="), object("ConfigMap", "eQ=="));
    }

    #[test]
    fn authorities_are_not_compared_but_their_presence_is() {
        let map =
            |data: Value| described(&json!({"kind": "ConfigMap", "metadata": {"name": "c"}, "data": data})).1;
        let authority = |text: &str| json!({"ca.crt": format!("-----BEGIN CERTIFICATE-----\n{text}")});
        assert_eq!(map(authority("a")), map(authority("b")));
        assert_ne!(map(authority("a")), map(json!({})));
        assert_ne!(map(json!({"a": "1"})), map(json!({"a": "2"})));
    }
}
