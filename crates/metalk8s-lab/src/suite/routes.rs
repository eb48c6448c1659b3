//! Routes to pods by BGP in the place of the overlay: two nodes, and a router outside of the cluster.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use metalk8s_diagnostics::{Diagnosed, Printer};
use metalk8s_types::{Role, paths};

use super::{
    Check, Options, Stage, Suite, Tally,
    cluster::{bootstrap_sh, changes_nothing_again, kubectl_json, said, wait_settled},
    expand::{apply, deploy_node, in_master, node_manifest, removal},
    install::pod::resolves_and_connects_on,
    run_checks,
};
use crate::{
    Lab, Machine, SOON,
    install::{self, version_of_archive},
    wait_until,
};

/// Run by `metalk8s-lab suite routes`.
pub const SUITE: Suite = Suite {
    name: "routes",
    about: "nodes and a router tell each other by BGP where pods are, and nothing is wrapped",
    run,
};

/// The nodes of the cluster, and the machine outside of it.
const NODES: [&str; 2] = ["bootstrap", "node1"];
const ROUTER: &str = "node2";
/// Of the nodes, as Calico has it where nobody says otherwise, and of the router.
const NODES_AS: u32 = 64512;
const ROUTER_AS: u32 = 64513;
const POOL: &str = "ippools.crd.projectcalico.org default-ipv4-ippool";

const CHECKS: &[Check] = &[
    Check { name: "one more bootstrap has routes take the place of the overlay", run: switched_on },
    Check { name: "each node has the way to the other's pods from BIRD alone", run: routed },
    Check { name: "pods of each node resolve names and reach the API", run: reached },
    Check { name: "a further bootstrap changes nothing", run: changes_nothing_again },
    Check { name: "a router outside learns where pods are, and reaches them", run: told },
    Check { name: "a node that leaves keeps no route, and the others forget its pods", run: left },
    Check { name: "nothing has tried to leave the lab", run: super::install::nothing_leaves },
];

/// A worker comes while there is an overlay, so that it is seen to give way.
fn run(options: &Options, printer: &mut Printer) -> Result<Tally> {
    let lab = super::bare(options, SUITE.name, 3)?;
    install::bootstrap_as(&lab, &install::configuration(&lab), &super::quiet()).map_err(Diagnosed::new)?;
    wait_settled(lab.bootstrap()?)?;
    let stage = Stage::new(Lab::clone(&lab), options.archive.clone(), options);
    let node = NODES[1];
    let host = stage.machine(node)?.control.to_string();
    apply(&stage, &node_manifest(&stage, node, &host, &[Role::Node])?)?;
    let output = deploy_node(&stage, node)?;
    ensure!(output.success(), "{}", said(&output));
    Ok(run_checks(CHECKS, &stage, printer))
}

fn switched_on(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    let before = kubectl_json(bootstrap, &format!("get {POOL}"))?;
    ensure!(before["spec"]["vxlanMode"] == "CrossSubnet", "the pool is another one: {before}");
    let configuration =
        format!("{}addons:\n  calico:\n    bgp:\n      enabled: true\n", install::configuration(&stage.lab));
    bootstrap.write(paths::BOOTSTRAP_CONFIG, configuration.as_bytes(), 0o600)?;
    let output = bootstrap_sh(bootstrap, "")?;
    ensure!(output.success(), "{}", said(&output));
    let after = kubectl_json(bootstrap, &format!("get {POOL}"))?;
    let modes = (&after["spec"]["ipipMode"], &after["spec"]["vxlanMode"]);
    ensure!(modes == (&"Never".into(), &"Never".into()), "the pool wraps packets still: {after}");
    Ok(())
}

/// The ranges that a node gives to its pods.
fn blocks(stage: &Stage, node: &str) -> Result<Vec<String>> {
    let all = kubectl_json(stage.lab.bootstrap()?, "get blockaffinities.crd.projectcalico.org")?;
    let items = all["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of_it = items.iter().filter(|affinity| affinity["spec"]["node"] == node);
    let ranges = of_it.filter_map(|affinity| affinity["spec"]["cidr"].as_str());
    Ok(ranges.map(str::to_owned).collect())
}

fn routed(stage: &Stage) -> Result<()> {
    for [here, there] in [NODES, [NODES[1], NODES[0]]] {
        let (machine, other) = (stage.machine(here)?, stage.machine(there)?);
        let ranges = blocks(stage, there)?;
        ensure!(!ranges.is_empty(), "`{there}` has no range for pods");
        for range in ranges {
            has_route(machine, &range, other.workload)?;
        }
        // By what it was led, without BGP; Felix starts anew to let go of it.
        wait_until("the overlay to go", SOON, || {
            let led =
                "ip route show proto 80 | grep ' via '; ip -oneline link show vxlan.calico 2> /dev/null";
            let kept = machine.run(led).map_err(|error| error.to_string())?.stdout;
            if kept.is_empty() { Ok(()) } else { Err(format!("`{here}` still has {kept}")) }
        })?;
    }
    Ok(())
}

/// Waits until a machine leads what is for `range` to `gateway`, because BIRD says so.
fn has_route(machine: &Machine, range: &str, gateway: Ipv4Addr) -> Result<()> {
    wait_until("the route to pods", SOON, || {
        let routes = machine
            .run_checked(&format!("ip route show proto bird exact {range}"))
            .map_err(|error| error.to_string())?;
        let is_right = routes.contains(&format!("via {gateway} "));
        if is_right { Ok(()) } else { Err(format!("`{}` leads {range} to {routes:?}", machine.name)) }
    })?;
    Ok(())
}

fn reached(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    NODES.into_iter().try_for_each(|node| resolves_and_connects_on(bootstrap, Some(node)))
}

/// The router runs the daemon of the archive: what it needs is on every machine.
fn told(stage: &Stage) -> Result<()> {
    let (bootstrap, router) = (stage.lab.bootstrap()?, stage.machine(ROUTER)?);
    let pods = kubectl_json(bootstrap, "--namespace kube-system get pods --selector k8s-app=calico-bird")?;
    let pod = pods["items"][0]["metadata"]["name"].as_str().context("there is no pod of BIRD")?;
    let cat = format!("exec --namespace kube-system {pod} --container bird -- cat /usr/sbin/bird");
    bootstrap.run_checked(&format!("kubectl --kubeconfig {} {cat} > bird", paths::ADMIN_KUBECONFIG))?;
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("bird");
    bootstrap.copy_from("/root/bird", &program)?;
    router.copy_to(&program, "/usr/local/sbin/bird", 0o755)?;
    router.write("/root/bird.conf", router_configuration(stage)?.as_bytes(), 0o644)?;
    router.run_checked("bird -c /root/bird.conf -s /run/bird.ctl")?;
    apply(
        stage,
        &format!(
            "apiVersion: crd.projectcalico.org/v1\nkind: BGPPeer\nmetadata: {{name: suite}}\n\
             spec: {{peerIP: {}, asNumber: {ROUTER_AS}, keepOriginalNextHop: true}}\n",
            router.workload
        ),
    )?;
    for node in NODES {
        for range in blocks(stage, node)? {
            has_route(router, &range, stage.machine(node)?.workload)?;
        }
    }
    let dns = kubectl_json(bootstrap, "--namespace kube-system get pods --selector k8s-app=kube-dns")?;
    let pods = dns["items"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
    let addresses: Vec<&str> = pods.filter_map(|pod| pod["status"]["podIP"].as_str()).collect();
    ensure!(!addresses.is_empty(), "no pod of CoreDNS has an address");
    for address in addresses {
        router.run_checked(&format!(
            "curl --silent --fail --max-time 10 http://{address}:9153/metrics > /dev/null"
        ))?;
        stage.note(format!("{address} answers"));
    }
    Ok(())
}

fn router_configuration(stage: &Stage) -> Result<String> {
    let mut text = format!(
        "router id {};\nprotocol device {{}}\nprotocol kernel {{ import none; export all; }}\n",
        stage.machine(ROUTER)?.workload
    );
    for node in NODES {
        let address = stage.machine(node)?.workload;
        text += &format!(
            "protocol bgp {node} {{\n  local as {ROUTER_AS};\n  neighbor {address} as {NODES_AS};\n  import all;\n  \
             export none;\n}}\n"
        );
    }
    Ok(text)
}

fn left(stage: &Stage) -> Result<()> {
    let (bootstrap, node) = (stage.lab.bootstrap()?, NODES[1]);
    let ranges = blocks(stage, node)?;
    let output = in_master(stage, &removal(&version_of_archive(bootstrap)?, node))?;
    ensure!(output.success(), "{}", said(&output));
    let machine = stage.machine(node)?;
    let routes = machine.run_checked("ip route show proto bird")?;
    ensure!(routes.is_empty(), "`{node}` has kept routes:\n{routes}");
    wait_until("the routes of others to go", SOON, || {
        let routes = bootstrap.run_checked("ip route show proto bird").map_err(|error| error.to_string())?;
        let kept = ranges.iter().find(|range| routes.contains(range.as_str()));
        kept.map_or(Ok(()), |range| Err(format!("it is led to {range} still")))
    })?;
    Ok(())
}
