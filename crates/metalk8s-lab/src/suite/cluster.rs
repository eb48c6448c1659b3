//! What several suites ask a cluster of one node.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use metalk8s_types::paths;
use serde_json::Value;

use super::Stage;
use crate::{install, machine::Machine, process::Output, wait_until};

/// How long a cluster may take to settle after whatever was done to it.
pub const SETTLE: Duration = Duration::from_secs(300);
/// The roles of a Bootstrap node.
const ROLES: [&str; 4] = ["bootstrap", "etcd", "infra", "master"];
/// Its taints (constants.md, section 4); the other two roles share the node with these.
const TAINTS: [&str; 2] = ["node-role.kubernetes.io/bootstrap", "node-role.kubernetes.io/infra"];

/// Runs the documented command with more words behind it.
pub fn bootstrap_sh(machine: &Machine, words: &str) -> Result<Output> {
    let folder = archive_folder(machine)?;
    Ok(machine.run_for(&format!("{folder}/bootstrap.sh {words}"), Duration::from_secs(1800))?)
}

/// A further run finds nothing to change.
pub fn changes_nothing_again(stage: &Stage) -> Result<()> {
    let output = bootstrap_sh(stage.lab.bootstrap()?, "")?;
    ensure!(output.success() && said(&output).contains(": 0 of "), "{}", said(&output));
    Ok(())
}

/// Where the archive is mounted.
pub fn archive_folder(machine: &Machine) -> Result<String> {
    let version = install::version_of_archive(machine)?;
    Ok(format!("{}/metalk8s-{version}", paths::ARCHIVES))
}

/// What was printed, for an error.
pub fn said(output: &Output) -> String {
    let text = format!("{}{}", output.stdout, output.stderr);
    let lines: Vec<_> = text.trim().lines().collect();
    format!("it ended with {}:\n{}", output.code, lines[lines.len().saturating_sub(25)..].join("\n"))
}

/// Runs kubectl as the administrator.
pub fn kubectl(machine: &Machine, command: &str) -> Result<String> {
    let admin = paths::ADMIN_KUBECONFIG;
    Ok(machine.run_checked(&format!("kubectl --kubeconfig {admin} --request-timeout 20s {command}"))?)
}

/// Like [`kubectl`], for commands that answer with JSON.
pub fn kubectl_json(machine: &Machine, command: &str) -> Result<Value> {
    let text = kubectl(machine, &format!("{command} --output json"))?;
    serde_json::from_str(&text).with_context(|| format!("kubectl {command}: no JSON"))
}

/// All pods of all namespaces.
pub fn pods(machine: &Machine) -> Result<Vec<Value>> {
    let list = kubectl_json(machine, "get pods --all-namespaces")?;
    list["items"].as_array().cloned().context("the list of pods has no items")
}

/// Waits until the node is Ready, with its roles and taints, and all pods run.
pub fn wait_settled(machine: &Machine) -> Result<()> {
    wait_for_node(machine)?;
    wait_for_pods(machine)
}

/// Waits until the node is Ready, with its roles and taints.
pub fn wait_for_node(machine: &Machine) -> Result<()> {
    wait_until("the node", SETTLE, || look_at_node(machine).map_err(|error| format!("{error:#}")))?;
    Ok(())
}

/// Waits until all pods run.
pub fn wait_for_pods(machine: &Machine) -> Result<()> {
    wait_until("all pods", SETTLE, || look_at_pods(machine).map_err(|error| format!("{error:#}")))?;
    Ok(())
}

/// Waits until the API knows all static pods, too; the kubelet tells it of them in its own time, up to a minute.
pub fn wait_for_static_pods(machine: &Machine) -> Result<()> {
    wait_until("the API to know all static pods", SETTLE, || {
        look_at_static_pods(machine).map_err(|error| format!("{error:#}"))
    })?;
    wait_for_pods(machine)
}

fn look_at_static_pods(machine: &Machine) -> Result<()> {
    let list = format!("basename --multiple --suffix .yaml {}/*.yaml", paths::MANIFESTS);
    let names: BTreeSet<_> = pods(machine)?.iter().map(name_of).collect();
    let manifests = machine.run_checked(&list)?;
    let of_pods = manifests.lines().map(|name| format!("kube-system/{name}-{}", machine.name));
    let untold: Vec<_> = of_pods.filter(|name| !names.contains(name)).collect();
    ensure!(untold.is_empty(), "unknown: {}", untold.join(", "));
    Ok(())
}

fn look_at_node(machine: &Machine) -> Result<()> {
    let node = kubectl_json(machine, &format!("get node {}", machine.name))?;
    let labels = node["metadata"]["labels"].as_object().context("the node has no labels")?;
    let prefix = metalk8s_types::labels::ROLE_PREFIX;
    let roles: BTreeSet<_> = labels.keys().filter_map(|key| key.strip_prefix(prefix)).collect();
    ensure!(roles == BTreeSet::from(ROLES), "its roles are {roles:?}");
    let taints: BTreeSet<_> = node["spec"]["taints"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|taint| Some((taint["key"].as_str()?, taint["effect"].as_str()?)))
        .collect();
    ensure!(taints == TAINTS.map(|key| (key, "NoSchedule")).into(), "its taints are {taints:?}");
    let ready = condition(&node, "Ready");
    ensure!(ready == Some("True"), "its condition Ready is {ready:?}");
    Ok(())
}

fn look_at_pods(machine: &Machine) -> Result<()> {
    let pods = pods(machine)?;
    ensure!(!pods.is_empty(), "there are no pods");
    let late: Vec<_> = pods.iter().filter(|pod| !is_settled(pod)).map(name_of).collect();
    ensure!(late.is_empty(), "not running: {}", late.join(", "));
    Ok(())
}

/// Running with all containers ready, or ended well.
pub fn is_settled(pod: &Value) -> bool {
    match pod["status"]["phase"].as_str() {
        Some("Succeeded") => true,
        Some("Running") => condition(pod, "Ready") == Some("True"),
        _ => false,
    }
}

/// The status of a condition.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == kind)?["status"].as_str()
}

/// Namespace and name.
pub fn name_of(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{}/{}", text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_settled_when_it_is_ready_or_ended_well() {
        let pod = |phase: &str, ready: &str| json!({"status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}});
        assert!(is_settled(&pod("Running", "True")));
        assert!(is_settled(&pod("Succeeded", "False")));
        assert!(!is_settled(&pod("Running", "False")));
        assert!(!is_settled(&pod("Pending", "False")));
    }
}
