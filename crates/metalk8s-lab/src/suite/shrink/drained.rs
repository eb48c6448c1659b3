//! Pods that stand behind a budget.

use anyhow::{Context, Result, ensure};

use super::{NODE, Stage, failed_with, kubectl, kubectl_json, remove, said, wait_until};
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

/// Its taints keep the pod from the Bootstrap node: it runs on the only other one.
pub(super) fn blocked(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    let pause = bootstrap.run_checked("grep sandbox /etc/containerd/config.toml")?;
    let pause = pause.split('"').nth(1).context("the image of the pause container is not configured")?;
    bootstrap.write("/root/web.yaml", WEB.replace("IMAGE", pause).as_bytes(), 0o644)?;
    kubectl(bootstrap, "apply -f /root/web.yaml")?;
    wait_until("the pod to run", SETTLE, || {
        let found = kubectl_json(bootstrap, "get deployment web").map_err(|error| error.to_string())?;
        if found["status"]["availableReplicas"] == 1 { Ok(()) } else { Err(found["status"].to_string()) }
    })?;
    let output = remove(stage, "--drain-timeout 10")?;
    failed_with(&output, &["default/web-", "all-of-web", "within 10 s", "kubectl uncordon"])?;
    let node = kubectl_json(bootstrap, &format!("get node {NODE}"))?;
    ensure!(node["spec"]["unschedulable"] == true, "it is open for pods: {}", node["spec"]);
    let pods = kubectl(bootstrap, "get pods --selector app=web --output wide")?;
    ensure!(pods.contains(NODE) && pods.contains("Running"), "the pod did not stay: {pods}");
    Ok(())
}

pub(super) fn goes_on(stage: &Stage) -> Result<()> {
    kubectl(stage.lab.bootstrap()?, "delete poddisruptionbudget all-of-web")?;
    let output = remove(stage, "")?;
    ensure!(output.success(), "{}", said(&output));
    Ok(())
}
