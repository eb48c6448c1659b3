//! What a refused deployment leaves as it was: all of the cluster but the record of the run.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use metalk8s_types::{fleet, labels, paths};
use serde_json::{Value, json};

use super::{Machine, Stage, kubectl_json, must_fail};
use crate::suite::{
    cluster::{name_of, wait_for_static_pods},
    inventory::Listing,
};

/// Annotations that the cluster gives to a new Node in its own time, or that the first look at a machine leaves.
const PASSING_ANNOTATIONS: [&str; 2] = ["node.alpha.kubernetes.io/ttl", labels::SSH_HOST_KEY];
/// How taints begin by which the cluster tells in what state a node is.
const PASSING_TAINTS: &str = "node.kubernetes.io/";
/// What is in the namespaces of the product, and is not written while nobody changes anything.
const KEPT_KINDS: &str = "secrets,configmaps,roles,rolebindings";
const SYSTEM: &str = "kube-system";

/// How often containers may have restarted by themselves meanwhile, as those do that lose a lease on a busy computer.
/// Were it the deployment, they would each time.
const CHANCES: usize = 3;

/// A deployment that must fail, with these words in what is printed. The cluster is then what it was before.
pub(super) fn refused_and_untouched(stage: &Stage, node: &str, words: &[&str]) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    let mut chances = CHANCES;
    loop {
        // The API comes to know them in its own time.
        wait_for_static_pods(bootstrap)?;
        let (before, restarts) = (picture(bootstrap)?, restarts(bootstrap)?);
        must_fail(stage, node, words)?;
        before
            .must_equal(&picture(bootstrap)?)
            .context("a deployment that was refused has changed the cluster")?;
        chances -= 1;
        match restarts.must_equal(&self::restarts(bootstrap)?) {
            Err(_) if chances > 0 => {}
            told => return told.context("containers restart whenever a deployment is refused"),
        }
    }
}

/// What is compared of the cluster, and of the files that its control plane is made of.
fn picture(bootstrap: &Machine) -> Result<Listing> {
    let mut entries = files(bootstrap)?;
    entries.extend(objects(bootstrap, "nodes", wishes_for_node)?);
    let agents = format!("agents -n {}", fleet::NAMESPACE);
    entries.extend(objects(bootstrap, &agents, |agent| agent["spec"].clone())?);
    entries.extend(objects(bootstrap, &pods(), |pod| pod["metadata"]["uid"].clone())?);
    for namespace in [SYSTEM, fleet::NAMESPACE] {
        let kept = format!("{KEPT_KINDS} -n {namespace}");
        // Not what they hold, which is nothing to be printed.
        entries.extend(objects(bootstrap, &kept, |object| object["metadata"]["resourceVersion"].clone())?);
    }
    Ok(Listing::new(entries))
}

/// How often each container has restarted.
fn restarts(bootstrap: &Machine) -> Result<Listing> {
    Ok(Listing::new(objects(bootstrap, &pods(), restarts_of_pod)?))
}

fn pods() -> String {
    format!("pods -n {SYSTEM}")
}

fn files(bootstrap: &Machine) -> Result<Vec<(String, String)>> {
    let sums = bootstrap.run_checked(&format!("sha256sum {}/* /etc/hosts", paths::MANIFESTS))?;
    let told = sums.lines().filter_map(|line| line.split_once("  "));
    Ok(told.map(|(sum, path)| (path.to_owned(), sum.to_owned())).collect())
}

/// Objects by kind and name, each with what is compared of it.
fn objects(
    bootstrap: &Machine,
    which: &str,
    compared: impl Fn(&Value) -> Value,
) -> Result<Vec<(String, String)>> {
    let list = kubectl_json(bootstrap, &format!("get {which}"))?;
    let items = list["items"].as_array().with_context(|| format!("the list of {which} has no items"))?;
    let told = items.iter().map(|object| {
        let kind = object["kind"].as_str().unwrap_or_default();
        (format!("{kind} {}", name_of(object)), compared(object).to_string())
    });
    Ok(told.collect())
}

fn wishes_for_node(node: &Value) -> Value {
    let is_passing =
        |taint: &&Value| taint["key"].as_str().is_some_and(|key| key.starts_with(PASSING_TAINTS));
    let taints = node["spec"]["taints"].as_array().into_iter().flatten();
    let taints: Vec<&Value> = taints.filter(|taint| !is_passing(taint)).collect();
    let mut annotations = node["metadata"]["annotations"].clone();
    if let Value::Object(annotations) = &mut annotations {
        annotations.retain(|key, _| !PASSING_ANNOTATIONS.contains(&key.as_str()));
    }
    json!({
        "labels": node["metadata"]["labels"],
        "annotations": annotations,
        "taints": taints,
        "unschedulable": node["spec"]["unschedulable"],
    })
}

fn restarts_of_pod(pod: &Value) -> Value {
    let containers = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let restarts: BTreeMap<&str, &Value> = containers
        .filter_map(|container| Some((container["name"].as_str()?, &container["restartCount"])))
        .collect();
    json!(restarts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_node_its_wishes_are_compared_and_not_its_state() {
        let node = |unschedulable: bool, ttl: &str, taint: &str| {
            wishes_for_node(&json!({
                "metadata": {
                    "labels": {"a": "b"},
                    "annotations": {"c": "d", "node.alpha.kubernetes.io/ttl": ttl},
                },
                "spec": {"taints": [{"key": taint}], "unschedulable": unschedulable},
            }))
        };
        let not_ready = "node.kubernetes.io/not-ready";
        assert_eq!(node(false, "0", not_ready), node(false, "15", "node.kubernetes.io/unreachable"));
        assert_ne!(node(false, "0", not_ready), node(true, "0", not_ready));
        assert_ne!(node(false, "0", not_ready), node(false, "0", "node-role.kubernetes.io/infra"));
    }

    #[test]
    fn of_a_pod_the_restarts_of_each_container_are_compared() {
        let pod = |phase: &str, restarts: u32| {
            let containers = json!([{"name": "one", "restartCount": restarts}]);
            restarts_of_pod(&json!({"status": {"phase": phase, "containerStatuses": containers}}))
        };
        assert_eq!(pod("Running", 0), pod("Pending", 0));
        assert_ne!(pod("Running", 0), pod("Running", 1));
    }
}
