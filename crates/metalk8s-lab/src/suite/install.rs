//! What must hold on a machine that `bootstrap.sh` has made a cluster of.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{Check, Ground, Stage, Suite};
use crate::{machine::Machine, wait_until};

/// Run by `metalk8s-lab suite install`.
pub const SUITE: Suite = Suite {
    name: "install",
    about: "a bootstrapped machine is a working cluster, and stays one",
    ground: Ground::Given,
    checks: &[
        Check {
            name: "the node is Ready with the roles bootstrap, etcd, infra and master",
            run: node_is_ready,
        },
        Check { name: "all pods run, all their containers ready", run: pods_run },
        Check { name: "every image comes from our repositories", run: images_are_ours },
        Check { name: "a name of the cluster resolves inside a pod", run: names_resolve },
        Check { name: "the API answers this computer through `./lab kubeconfig`", run: api_answers_computer },
        Check { name: "a second bootstrap.sh reports 0 changes and restarts no pod", run: bootstrap_again },
        Check { name: "after a reboot everything comes back by itself", run: reboot },
        Check { name: "after a power cut everything comes back by itself", run: power_cut },
        Check { name: "nothing has tried to leave the lab", run: nothing_leaves },
    ],
};

const SETTLE: Duration = Duration::from_secs(300);
const ROLES: [&str; 4] = ["bootstrap", "etcd", "infra", "master"];
const OUR_REGISTRY: &str = metalk8s_types::REGISTRY;

fn node_is_ready(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    wait_until("the node", SETTLE, || look_at_node(machine).map_err(|error| format!("{error:#}")))?;
    Ok(())
}

fn look_at_node(machine: &Machine) -> Result<()> {
    let node = kubectl(machine, "get node bootstrap --output json")?;
    let labels = node["metadata"]["labels"].as_object().context("the node has no labels")?;
    let prefix = metalk8s_types::labels::ROLE_PREFIX;
    let roles: BTreeSet<_> = labels.keys().filter_map(|key| key.strip_prefix(prefix)).collect();
    ensure!(roles == BTreeSet::from(ROLES), "its roles are {roles:?}");
    let ready = condition(&node, "Ready");
    ensure!(ready == Some("True"), "its condition Ready is {ready:?}");
    Ok(())
}

fn pods_run(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    wait_until("all pods", SETTLE, || look_at_pods(machine).map_err(|error| format!("{error:#}")))?;
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
fn is_settled(pod: &Value) -> bool {
    match pod["status"]["phase"].as_str() {
        Some("Succeeded") => true,
        Some("Running") => condition(pod, "Ready") == Some("True"),
        _ => false,
    }
}

fn images_are_ours(stage: &Stage) -> Result<()> {
    let foreign: BTreeSet<_> = pods(stage.lab.bootstrap()?)?
        .iter()
        .flat_map(|pod| ["initContainers", "containers"].map(|kind| pod["spec"][kind].clone()))
        .flat_map(|containers| containers.as_array().cloned().unwrap_or_default())
        .filter_map(|container| container["image"].as_str().map(str::to_owned))
        .filter(|image| !image.starts_with(OUR_REGISTRY))
        .collect();
    ensure!(foreign.is_empty(), "from elsewhere: {foreign:?}");
    Ok(())
}

/// Asks the cluster's name server from the network of a pod: what the pod's own resolver would do, without
/// needing a shell in any image of the product.
fn names_resolve(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    wait_until("an answer", Duration::from_secs(60), || {
        resolve_in_pod(machine).map_err(|error| format!("{error:#}"))
    })?;
    Ok(())
}

fn resolve_in_pod(machine: &Machine) -> Result<()> {
    let service = kubectl(machine, "get service kubernetes --namespace default --output json")?;
    let expected =
        service["spec"]["clusterIP"].as_str().context("the Service `kubernetes` has no address")?;
    let dns = pods(machine)?
        .into_iter()
        .find(|pod| pod["metadata"]["labels"]["k8s-app"] == "kube-dns")
        .context("there is no pod with the label k8s-app=kube-dns")?;
    ensure!(is_settled(&dns), "{} does not run", name_of(&dns));
    let container = dns["status"]["containerStatuses"][0]["containerID"].as_str().unwrap_or_default();
    let id = container.rsplit('/').next().unwrap_or_default();
    ensure!(!id.is_empty(), "the container of {} has no id", name_of(&dns));
    // The resolver's configuration is the pod's, by a mount of its own; everything but that and the network
    // is the machine's.
    let server =
        kubectl(machine, "get service --namespace kube-system --selector k8s-app=kube-dns --output json")?;
    let server =
        server["items"][0]["spec"]["clusterIP"].as_str().context("the name server has no address")?;
    let script = format!(
        "set -e; pid=$(crictl inspect --output go-template --template '{{{{.info.pid}}}}' {id}); \
         resolv=$(mktemp); trap 'rm -f $resolv' EXIT; \
         printf 'nameserver {server}\\nsearch default.svc.cluster.local svc.cluster.local cluster.local\\noptions ndots:5\\n' > $resolv; \
         nsenter --target $pid --net unshare --mount sh -c \
         \"mount --bind $resolv /etc/resolv.conf && getent ahostsv4 kubernetes\""
    );
    let found = machine.run_checked(&script)?;
    let address = found.split_whitespace().next();
    ensure!(address == Some(expected), "`kubernetes` is {address:?}, not {expected}");
    Ok(())
}

fn api_answers_computer(stage: &Stage) -> Result<()> {
    let text = crate::install::kubeconfig(&stage.lab)?;
    let server = format!("https://{}:6443", stage.lab.bootstrap()?.control);
    ensure!(text.contains(&server), "the kubeconfig does not name {server}");
    let address = std::net::SocketAddr::from((stage.lab.bootstrap()?.control, 6443));
    std::net::TcpStream::connect_timeout(&address, Duration::from_secs(10))
        .with_context(|| format!("no answer from {address}"))?;
    Ok(())
}

fn bootstrap_again(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let before = restarts(machine)?;
    let version = crate::install::version_of_archive(machine)?;
    let script = format!("{}/metalk8s-{version}/bootstrap.sh", metalk8s_types::paths::ARCHIVES);
    let output = machine.run_for(&script, SETTLE)?;
    ensure!(output.success(), "it ended with {}: {}{}", output.code, output.stdout, output.stderr);
    let said = format!("{}{}", output.stdout, output.stderr);
    ensure!(reports_no_change(&said), "it does not report `0 changes`, but: {said}");
    let after = restarts(machine)?;
    ensure!(before == after, "pods before {before:?} and after {after:?}");
    Ok(())
}

/// Whether the words `0 changes` stand there, and not as the end of another number.
fn reports_no_change(text: &str) -> bool {
    text.match_indices("0 changes").any(|(at, _)| !text[..at].ends_with(|c: char| c.is_ascii_digit()))
}

fn reboot(stage: &Stage) -> Result<()> {
    stage.lab.bootstrap()?.reboot()?;
    comes_back(stage)
}

fn power_cut(stage: &Stage) -> Result<()> {
    stage.lab.bootstrap()?.power_cut()?;
    comes_back(stage)
}

/// A node's word about itself is old right after a boot: the kubelet must have renewed its lease since.
fn comes_back(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    wait_until("the kubelet to report after the boot", SETTLE, || {
        let look = || -> Result<()> {
            let lease = kubectl(machine, "get lease bootstrap --namespace kube-node-lease --output json")?;
            let renewed = lease["spec"]["renewTime"].as_str().context("the lease has no time")?.to_owned();
            let fresh = machine.run_checked(&format!(
                "[ \"$(date --date '{renewed}' +%s)\" -gt \"$(date --date \"$(systemctl show --property UserspaceTimestamp --value)\" +%s)\" ] \
                 && echo yes || echo no"
            ))?;
            ensure!(fresh == "yes", "renewed last at {renewed}");
            Ok(())
        };
        look().map_err(|error| format!("{error:#}"))
    })?;
    node_is_ready(stage)?;
    pods_run(stage)?;
    names_resolve(stage)
}

/// The machines refuse and count what is sent elsewhere; see `outside.nft`.
fn nothing_leaves(stage: &Stage) -> Result<()> {
    for machine in &stage.lab.machines {
        let text = machine.run_checked("nft --json list counters table inet metalk8s-lab")?;
        let listed: Value = serde_json::from_str(&text)?;
        for counter in
            listed["nftables"].as_array().into_iter().flatten().filter_map(|one| one.get("counter"))
        {
            let packets = counter["packets"].as_u64().unwrap_or_default();
            if packets > 0 {
                bail!("{}: {packets} packets refused by the counter {}", machine.name, counter["name"]);
            }
        }
    }
    Ok(())
}

fn restarts(machine: &Machine) -> Result<BTreeSet<String>> {
    let pods = pods(machine)?;
    Ok(pods
        .iter()
        .flat_map(|pod| {
            let name = name_of(pod);
            let statuses = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
            statuses
                .into_iter()
                .map(move |status| format!("{name} {} {}", status["name"], status["containerID"]))
        })
        .collect())
}

fn pods(machine: &Machine) -> Result<Vec<Value>> {
    let list = kubectl(machine, "get pods --all-namespaces --output json")?;
    list["items"].as_array().cloned().context("the list of pods has no items")
}

fn kubectl(machine: &Machine, command: &str) -> Result<Value> {
    let admin = metalk8s_types::paths::ADMIN_KUBECONFIG;
    let text =
        machine.run_checked(&format!("kubectl --kubeconfig {admin} --request-timeout 20s {command}"))?;
    serde_json::from_str(&text).with_context(|| format!("kubectl {command}: no JSON"))
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == kind)?["status"].as_str()
}

fn name_of(pod: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    format!("{}/{}", text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_exactly_no_changes_count_as_none() {
        assert!(reports_no_change("done: 0 changes, 141 states"));
        assert!(!reports_no_change("done: 10 changes"));
        assert!(!reports_no_change("done"));
    }

    #[test]
    fn a_pod_is_settled_when_it_is_ready_or_ended_well() {
        let pod = |phase: &str, ready: &str| json!({"status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}});
        assert!(is_settled(&pod("Running", "True")));
        assert!(is_settled(&pod("Succeeded", "False")));
        assert!(!is_settled(&pod("Running", "False")));
        assert!(!is_settled(&pod("Pending", "False")));
    }
}
