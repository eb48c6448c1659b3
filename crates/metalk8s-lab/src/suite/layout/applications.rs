//! Pods as people make them, which taints keep away.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use super::{SETTLE, Stage, items, kubectl, kubectl_json, text, wait_until, wish::nodes};

/// As many on each node as on any other on which they may be. They run an image that every node has.
const APPLICATIONS: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: applications}
spec:
  replicas: 6
  selector: {matchLabels: {app: applications}}
  template:
    metadata: {labels: {app: applications}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
      - maxSkew: 1
        topologyKey: kubernetes.io/hostname
        whenUnsatisfiable: DoNotSchedule
        nodeTaintsPolicy: Honor
        labelSelector: {matchLabels: {app: applications}}
      containers:
      - {name: application, image: 'IMAGE'}
";

pub(super) fn are_kept_away(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    let pause = bootstrap.run_checked("grep sandbox /etc/containerd/config.toml")?;
    let pause = pause.split('"').nth(1).context("the image of the pause container is not configured")?;
    bootstrap.write("/root/applications.yaml", APPLICATIONS.replace("IMAGE", pause).as_bytes(), 0o644)?;
    kubectl(bootstrap, "apply -f /root/applications.yaml")?;
    let all = wait_until("all applications to run", SETTLE, || {
        let found =
            kubectl_json(bootstrap, "get deployment applications").map_err(|error| error.to_string())?;
        if found["status"]["availableReplicas"] == 6 { Ok(()) } else { Err(found["status"].to_string()) }
    });
    let pods = kubectl_json(bootstrap, "get pods --selector app=applications")?;
    kubectl(bootstrap, "delete -f /root/applications.yaml")?;
    all?;
    let found: BTreeSet<&str> =
        items(&pods["items"]).iter().map(|pod| text(&pod["spec"]["nodeName"])).collect();
    let open = nodes().into_iter().filter(|node| node.taints.is_empty()).map(|node| node.name);
    let open: BTreeSet<&str> = open.collect();
    ensure!(found == open, "they run on {found:?}, and should on {open:?}");
    Ok(())
}
