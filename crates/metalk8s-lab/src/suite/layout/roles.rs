//! Each node has what its roles bring, and nothing of others.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use metalk8s_types::Role;
use serde_json::Value;

use super::{
    Stage, items, kubectl, kubectl_json, text, wait_until,
    wish::{Wish, otherwise},
};
use crate::SOON;

/// Static pods, and the role that brings each.
const STATIC_PODS: [(&str, Option<Role>); 7] = [
    ("apiserver-proxy", None),
    ("etcd", Some(Role::Etcd)),
    ("kube-apiserver", Some(Role::Master)),
    ("kube-controller-manager", Some(Role::Master)),
    ("kube-scheduler", Some(Role::Master)),
    ("repositories", Some(Role::Bootstrap)),
    ("salt-master", Some(Role::Bootstrap)),
];
/// What only a master has.
const OF_A_MASTER: &str = "/etc/kubernetes/admin.conf /etc/kubernetes/manifests/kube-*.yaml \
                           /etc/kubernetes/pki/apiserver.key /etc/kubernetes/pki/sa.key";

pub(super) fn run_their_own(stage: &Stage, nodes: &[Wish]) -> Result<()> {
    for node in nodes {
        // The kubelet tells the API of its static pods in its own time.
        wait_until("each to run what is its own", SOON, || {
            runs_its_own(stage, node).map_err(|error| format!("{error:#}"))
        })?;
    }
    Ok(())
}

fn runs_its_own(stage: &Stage, wish: &Wish) -> Result<()> {
    let (bootstrap, name) = (stage.lab.bootstrap()?, wish.name);
    let node = kubectl_json(bootstrap, &format!("get node {name}"))?;
    let labels = node["metadata"]["labels"].as_object().context("it has no labels")?;
    for role in Role::ALL {
        let (has, shall) = (labels.contains_key(&role.key()), wish.roles.contains(&role));
        ensure!(has == shall, "`{name}` has the role {}: {has}", role.name());
    }
    let taints = items(&node["spec"]["taints"]);
    let taint = |taint: &Value| format!("{}:{}", text(&taint["key"]), text(&taint["effect"]));
    let found: BTreeSet<String> = taints.iter().map(taint).collect();
    let expected: BTreeSet<String> =
        wish.taints.iter().map(|role| format!("{}:NoSchedule", role.key())).collect();
    ensure!(found == expected, "`{name}` has the taints {found:?}, and should have {expected:?}");

    let pods =
        kubectl_json(bootstrap, &format!("get pods -n kube-system --field-selector spec.nodeName={name}"))?;
    let is_mirror = |pod: &&Value| pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_string();
    let mirrors = items(&pods["items"]).iter().filter(is_mirror);
    let found: BTreeSet<String> = mirrors.map(|pod| text(&pod["metadata"]["name"]).to_owned()).collect();
    let own = |(_, role): &&(&str, Option<Role>)| role.is_none_or(|role| wish.roles.contains(&role));
    let expected: BTreeSet<String> =
        STATIC_PODS.iter().filter(own).map(|(pod, _)| format!("{pod}-{name}")).collect();
    ensure!(found == expected, "`{name}` runs {found:?}, and should run {expected:?}");
    Ok(())
}

/// Also what a master had is gone where there is none any more.
pub(super) fn serve(stage: &Stage) -> Result<()> {
    let nodes = otherwise();
    for node in &nodes {
        let machine = stage.machine(node.name)?;
        let address = machine.control;
        if node.roles.contains(&Role::Master) {
            kubectl(machine, &format!("--server https://{address}:6443 get --raw /readyz"))?;
        } else {
            let left = machine.run_checked(&format!("ls --directory {OF_A_MASTER} 2> /dev/null || true"))?;
            ensure!(left.is_empty(), "`{}` has what a master has: {left}", node.name);
        }
    }
    let pki = "/etc/kubernetes/pki/etcd";
    let expected: BTreeSet<&str> =
        nodes.iter().filter(|node| node.roles.contains(&Role::Etcd)).map(|node| node.name).collect();
    for name in &expected {
        let list = stage.machine(name)?.run_checked(&format!(
            "timeout 20 crictl exec \"$(crictl ps --quiet --name '^etcd$' | head -n 1)\" etcdctl \
             --endpoints https://127.0.0.1:2379 --cacert {pki}/ca.crt --cert {pki}/healthcheck-client.crt \
             --key {pki}/healthcheck-client.key member list"
        ))?;
        // Id, state, name and more, with commas between.
        let found: BTreeSet<&str> = list.lines().filter_map(|line| line.split(", ").nth(2)).collect();
        ensure!(found == expected, "`{name}` knows the members {found:?}, and not {expected:?}");
    }
    Ok(())
}
