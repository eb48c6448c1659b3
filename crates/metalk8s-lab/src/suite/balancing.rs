//! Services with addresses of their own, by MetalLB: two nodes, and a machine outside of the cluster that asks.

use std::{net::Ipv4Addr, time::Instant};

use anyhow::{Context, Result, ensure};
use metalk8s_diagnostics::{Diagnosed, Printer};
use metalk8s_types::Role;

use super::{
    Check, Options, Stage, Suite, Tally,
    cluster::{changes_nothing_again, kubectl, kubectl_json, said, wait_settled},
    expand::{apply, deploy_node, node_manifest},
    run_checks,
};
use crate::{Lab, Machine, SOON, install, wait_until};

/// Run by `metalk8s-lab suite balancing`.
pub const SUITE: Suite = Suite {
    name: "balancing",
    about: "Services get addresses of their own, which nodes answer for, one after the other",
    run,
};

/// The nodes of the cluster, and the machine outside of it.
const NODES: [&str; 2] = ["bootstrap", "node1"];
const OUTSIDE: &str = "node2";
/// Last part of the address in the workload plane that Services may have.
const HOST: u8 = 200;
/// The namespace of the addon.
const NAMESPACE: &str = "metalk8s-loadbalancing";
/// Nodes with it announce nothing (KEP-1143).
const LEFT_OUT: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
/// A Service of CoreDNS' figures, whose pods are on both nodes.
const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata:
  name: suite-balancing
  namespace: kube-system
spec:
  type: LoadBalancer
  selector:
    k8s-app: kube-dns
  ports:
  - port: 9153
";

const CHECKS: &[Check] = &[
    Check { name: "a cluster with the addon has its pods on each node", run: deployed },
    Check { name: "a second bootstrap changes nothing", run: changes_nothing_again },
    Check { name: "a Service gets an address, which a machine outside of the cluster reaches", run: reached },
    Check { name: "another node answers when the one that did is to be left out", run: handed_over },
    Check { name: "another node answers when the one that did has lost its power", run: taken_over },
    Check { name: "nothing has tried to leave the lab", run: super::install::nothing_leaves },
];

fn run(options: &Options, printer: &mut Printer) -> Result<Tally> {
    let lab = super::bare(options, SUITE.name, 3)?;
    let configuration = format!("{}addons:\n  metallb:\n    enabled: true\n", install::configuration(&lab));
    install::bootstrap_as(&lab, &configuration, &super::quiet()).map_err(Diagnosed::new)?;
    wait_settled(lab.bootstrap()?)?;
    Ok(run_checks(CHECKS, &Stage::new(Lab::clone(&lab), options.archive.clone(), options), printer))
}

fn deployed(stage: &Stage) -> Result<()> {
    let node = NODES[1];
    let host = stage.machine(node)?.control.to_string();
    apply(stage, &node_manifest(stage, node, &host, &[Role::Node, Role::Infra])?)?;
    let output = deploy_node(stage, node)?;
    ensure!(output.success(), "{}", said(&output));
    let bootstrap = stage.lab.bootstrap()?;
    let rolled_out = "rollout status --timeout 120s daemonset/metallb-speaker deployment/metallb-controller";
    kubectl(bootstrap, &format!("--namespace {NAMESPACE} {rolled_out}"))?;
    // One of CoreDNS on each node, so that there is always one that answers: a new one avoids the other's node.
    let first =
        kubectl(bootstrap, "--namespace kube-system get pod --selector k8s-app=kube-dns --output name")?;
    let first = first.lines().next().context("there is no pod of CoreDNS")?;
    kubectl(bootstrap, &format!("--namespace kube-system delete {first}"))?;
    kubectl(bootstrap, "--namespace kube-system rollout status --timeout 120s deployment/coredns")?;
    Ok(())
}

/// The one address that Services may have.
fn address(stage: &Stage) -> Result<Ipv4Addr> {
    let mut octets = stage.lab.bootstrap()?.workload.octets();
    octets[3] = HOST;
    Ok(octets.into())
}

fn pool(address: Ipv4Addr) -> String {
    format!(
        "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {{name: suite, namespace: {NAMESPACE}}}\n\
         spec: {{addresses: [{address}/32]}}\n---\napiVersion: metallb.io/v1beta1\nkind: L2Advertisement\n\
         metadata: {{name: suite, namespace: {NAMESPACE}}}\nspec: {{ipAddressPools: [suite]}}\n---\n{SERVICE}"
    )
}

fn reached(stage: &Stage) -> Result<()> {
    let address = address(stage)?;
    apply(stage, &pool(address))?;
    let bootstrap = stage.lab.bootstrap()?;
    wait_until("the Service to have its address", SOON, || {
        let service = kubectl_json(bootstrap, "--namespace kube-system get service suite-balancing")
            .map_err(|error| format!("{error:#}"))?;
        let ingress = &service["status"]["loadBalancer"]["ingress"][0]["ip"];
        if *ingress == address.to_string() { Ok(()) } else { Err(format!("it has {ingress}")) }
    })?;
    let node = answering(stage, None)?;
    stage.note(format!("`{node}` answers"));
    Ok(())
}

/// The node that answers for the Service, as the neighbour table of the machine outside has it: this one, where one
/// is named.
fn answering(stage: &Stage, wished: Option<&str>) -> Result<&'static str> {
    answering_of(stage, &links(stage)?, wished)
}

/// The nodes, with their link-layer addresses in the workload plane: known before a machine is off.
type Links = Vec<(&'static str, String)>;

fn links(stage: &Stage) -> Result<Links> {
    NODES.into_iter().map(|name| Ok((name, link_address(stage.machine(name)?)?))).collect()
}

fn answering_of(stage: &Stage, links: &Links, wished: Option<&str>) -> Result<&'static str> {
    let address = address(stage)?;
    let outside = stage.machine(OUTSIDE)?;
    let ask = format!(
        "curl --silent --fail --max-time 2 --output /dev/null http://{address}:9153/metrics && \
         ip neighbour show to {address}"
    );
    let mut found = None;
    wait_until("the Service to answer", SOON, || {
        let output = outside.run(&ask).map_err(|error| error.to_string())?;
        if !output.success() {
            return Err(format!("curl ends with {}", output.code));
        }
        let node =
            links.iter().find(|(_, link)| output.stdout.contains(link.as_str())).map(|(node, _)| *node);
        match node {
            Some(node) if wished.is_none_or(|wished| wished == node) => {
                found = Some(node);
                Ok(())
            }
            _ => Err(format!("the neighbour is {}", output.stdout.trim())),
        }
    })?;
    found.context("no node answers")
}

/// The link-layer address of a machine in the workload plane.
fn link_address(machine: &Machine) -> Result<String> {
    let interface = format!("ip -oneline address show to {} | awk '{{ print $2 }}'", machine.workload);
    let address = machine.run_checked(&format!("cat /sys/class/net/$({interface})/address"))?;
    Ok(address.trim().to_owned())
}

fn other_than(node: &str) -> Result<&'static str> {
    NODES.into_iter().find(|other| *other != node).context("there are two nodes")
}

fn handed_over(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    let first = answering(stage, None)?;
    kubectl(bootstrap, &format!("label node {first} {LEFT_OUT}="))?;
    let handed = answering(stage, Some(other_than(first)?));
    kubectl(bootstrap, &format!("label node {first} {LEFT_OUT}-"))?;
    handed?;
    answering(stage, Some(first)).map(drop)
}

fn taken_over(stage: &Stage) -> Result<()> {
    let links = links(stage)?;
    let first = answering_of(stage, &links, None)?;
    let machine = stage.machine(first)?;
    machine.cut_power()?;
    let began = Instant::now();
    let taken = answering_of(stage, &links, Some(other_than(first)?));
    stage.note(format!("after {:.1} s", began.elapsed().as_secs_f64()));
    machine.start()?;
    taken.map(drop)
}
