//! A pod as people make them.

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::{
    SOON,
    machine::{Machine, quoted},
    suite::{
        Stage,
        cluster::{kubectl, kubectl_json},
    },
    wait_until,
};

const NAME: &str = "suite-pod";
/// A Service of the node's network, by name, by namespace and in full; then one whose pods are in the pods' network.
///
/// A short name that no name server of the cluster answers in time is asked outside as well (resolv.conf(5),
/// `search`), which the lab counts. So the first question is for a name with its last dot, which never is.
const SCRIPT: &str = "set -e; cat /etc/resolv.conf; \
    timeout 30 bash -c 'until curl --silent --insecure --max-time 5 --output /dev/null \
    https://kubernetes.default.svc.cluster.local./healthz; do sleep 0.2; done'; \
    for name in kubernetes kubernetes.default kubernetes.default.svc.cluster.local; do \
    curl --silent --insecure --show-error --max-time 20 --write-out ' %{remote_ip}\\n' https://$name/healthz; done; \
    timeout 20 bash -c 'true < /dev/tcp/kube-dns.kube-system/53'";

pub(super) fn resolves_and_connects(stage: &Stage) -> Result<()> {
    resolves_and_connects_on(stage.lab.bootstrap()?, None)
}

/// The same in a pod on this node, or on any.
pub(in crate::suite) fn resolves_and_connects_on(machine: &Machine, node: Option<&str>) -> Result<()> {
    let gone = "delete pod suite-pod --namespace default --ignore-not-found --grace-period 0 --force --wait";
    kubectl(machine, gone)?;
    let result = look(machine, node);
    // The error of the look is the one to be told.
    let cleaned = kubectl(machine, gone);
    result.and(cleaned.map(drop))
}

fn look(machine: &Machine, node: Option<&str>) -> Result<()> {
    let service = kubectl_json(machine, "get service kubernetes --namespace default")?;
    let address = service["spec"]["clusterIP"].as_str().context("the Service `kubernetes` has no address")?;
    let version = crate::install::version_of_archive(machine)?;
    let image = format!("{}/metalk8s-{version}/metalk8s-utils:{version}", metalk8s_types::REGISTRY);
    let wishes = json!({"spec": {"tolerations": [{"operator": "Exists"}], "nodeName": node}});
    kubectl(
        machine,
        &format!(
            "run {NAME} --namespace default --restart Never --image {image} --overrides {} --command -- bash -c {}",
            quoted(&wishes.to_string()),
            quoted(SCRIPT)
        ),
    )?;
    let ended = wait_until("the pod to end", SOON, || {
        let pod = kubectl_json(machine, "get pod suite-pod --namespace default")
            .map_err(|error| format!("{error:#}"))?;
        match pod["status"]["phase"].as_str() {
            Some(phase @ ("Succeeded" | "Failed")) => Ok(phase.to_owned()),
            _ => Err(pod["status"].to_string()),
        }
    })?;
    let log = kubectl(machine, "logs suite-pod --namespace default")?;
    if ended != "Succeeded" {
        bail!("it says:\n{log}");
    }
    let expected = format!("ok {address}");
    let resolved = log.lines().filter(|line| *line == expected).count();
    ensure!(resolved == 3, "3 names should answer as `{expected}`, but it says:\n{log}");
    Ok(())
}
