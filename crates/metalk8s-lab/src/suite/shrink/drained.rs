//! Pods that stand behind a budget.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use metalk8s_types::Role;

use super::{NODE, Stage, failed_with, kubectl, kubectl_json, node_command, remove, said, wait_until};
use crate::suite::cluster::SETTLE;

/// One pod that may not go, and what says so. It runs an image that every node has.
const WEB: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: web, image: 'IMAGE', volumeMounts: [{name: data, mountPath: /data}]}
      volumes: [{name: data, emptyDir: {}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: all-of-web}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
";
/// What is told of it.
const TOLD: [&str; 4] = ["default/web-", "all-of-web", "within 10 s", "kubectl uncordon"];

/// The node shall have a role more, and its pods would have to go meanwhile.
pub(super) fn roles_blocked(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    web_runs(stage)?;
    kubectl(bootstrap, &format!("label node {NODE} {}=", Role::Infra.key()))?;
    let output = node_command(stage, &format!("deploy {NODE} --drain-timeout 10"))?;
    failed_with(&output, &TOLD)?;
    web_has_stayed(stage)?;
    let roles = roles(stage)?;
    ensure!(roles == ["node"].map(str::to_owned).into(), "its roles are {roles:?} already");
    let other = kubectl_json(bootstrap, &format!("get node {}", bootstrap.name))?;
    ensure!(other["spec"]["unschedulable"].is_null(), "the Bootstrap node was closed for pods");
    Ok(())
}

pub(super) fn roles_go_on(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    kubectl(bootstrap, "delete poddisruptionbudget all-of-web")?;
    let output = node_command(stage, &format!("deploy {NODE}"))?;
    ensure!(output.success(), "{}", said(&output));
    let roles = roles(stage)?;
    ensure!(roles == ["infra", "node"].map(str::to_owned).into(), "its roles are {roles:?}");
    let node = kubectl_json(bootstrap, &format!("get node {NODE}"))?;
    ensure!(node["spec"]["unschedulable"].is_null(), "it is closed for pods: {}", node["spec"]);
    web_is_available(stage)
}

pub(super) fn blocked(stage: &Stage) -> Result<()> {
    web_runs(stage)?;
    let output = remove(stage, "--drain-timeout 10")?;
    failed_with(&output, &TOLD)?;
    web_has_stayed(stage)
}

pub(super) fn goes_on(stage: &Stage) -> Result<()> {
    kubectl(stage.lab.bootstrap()?, "delete poddisruptionbudget all-of-web")?;
    let output = remove(stage, "")?;
    ensure!(output.success(), "{}", said(&output));
    Ok(())
}

/// Its taints keep the pod from the Bootstrap node: it runs on the only other one.
fn web_runs(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    let pause = bootstrap.run_checked("grep sandbox /etc/containerd/config.toml")?;
    let pause = pause.split('"').nth(1).context("the image of the pause container is not configured")?;
    bootstrap.write("/root/web.yaml", WEB.replace("IMAGE", pause).as_bytes(), 0o644)?;
    kubectl(bootstrap, "apply -f /root/web.yaml")?;
    web_is_available(stage)
}

fn web_is_available(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    wait_until("the pod to run", SETTLE, || {
        let found = kubectl_json(bootstrap, "get deployment web").map_err(|error| error.to_string())?;
        if found["status"]["availableReplicas"] == 1 { Ok(()) } else { Err(found["status"].to_string()) }
    })?;
    Ok(())
}

/// The node is closed, and nothing else has happened.
fn web_has_stayed(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    let node = kubectl_json(bootstrap, &format!("get node {NODE}"))?;
    ensure!(node["spec"]["unschedulable"] == true, "it is open for pods: {}", node["spec"]);
    let pods = kubectl(bootstrap, "get pods --selector app=web --output wide")?;
    ensure!(pods.contains(NODE) && pods.contains("Running"), "the pod did not stay: {pods}");
    Ok(())
}

/// What its agent was told to be.
fn roles(stage: &Stage) -> Result<BTreeSet<String>> {
    let agent = kubectl_json(stage.lab.bootstrap()?, &format!("get agent {NODE} -n metalk8s-fleet"))?;
    let roles = agent["spec"]["roles"].as_array().context("its agent has no roles")?;
    Ok(roles.iter().filter_map(|role| role.as_str()).map(str::to_owned).collect())
}
