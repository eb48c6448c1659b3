//! The stages of a node that joins a cluster (area EXP).

use std::net::IpAddr;

use metalk8s_engine::{
    Graph, State, Step,
    state::{Certificate, Kubeconfig, Signer, Subject, Usage},
};
use metalk8s_types::{Grains, Pillar, Role};

use crate::{
    FormulaError, Stage, agent, apiserver_proxy,
    bootstrap::{CONTAINERD, CONTROL_PLANE, packages, prepared, pulled},
    containerd, control_plane, etcd, former,
    hostname::node_name,
    kubelet, pki, repositories,
};

/// The name of the stage that starts the member of etcd.
pub(crate) const ETCD: &str = "etcd";

/// All stages of a node that holds neither archives nor authorities, in their order. What roles have brought that it
/// has no more goes at the end.
pub fn node(grains: &Grains, pillar: &Pillar) -> Result<Vec<Stage>, FormulaError> {
    let mut stages = of_roles(grains, pillar)?;
    if let Some(all) = former::with_all_roles(pillar) {
        let graph = former::absent(&stages, &of_roles(grains, &all)?, pillar);
        stages.push(Stage { title: "Removing what former roles have left", name: "former", graph });
    }
    Ok(stages)
}

fn of_roles(grains: &Grains, pillar: &Pillar) -> Result<Vec<Stage>, FormulaError> {
    let mut stages = vec![
        prepared(grains, pillar),
        packages(grains, pillar)?,
        Stage {
            title: "Making keys and certificates",
            name: "pki",
            graph: pki::keys_of_newcomer(node_name(grains), pillar),
        },
        Stage {
            title: "Starting the container runtime",
            name: CONTAINERD,
            graph: containerd::running(grains, pillar)?,
        },
    ];
    if pillar.roles.contains(&Role::Etcd) {
        let mut graph = Graph::default();
        let answer = graph.add("repositories answer for etcd", repositories::ready(pillar));
        etcd::static_pod(&mut graph, &answer, grains, pillar)?;
        stages.push(Stage { title: "Starting etcd", name: ETCD, graph });
    }
    stages.push(Stage {
        title: "Starting kubelet and agent",
        name: "kubelet",
        graph: {
            let mut graph = images(pillar, &["pause", "metalk8s"])?;
            // A kubelet that runs already would pull at the same time, and whoever ends last decides what is pinned.
            graph.then(apiserver_proxy::static_pod(pillar)?);
            graph.append(kubelet::running(grains, pillar, &[])?);
            graph.then(pki::led_by_balancer(node_name(grains), pillar));
            graph.append(agent::running());
            graph
        },
    });
    if pillar.roles.contains(&Role::Master) {
        let mut graph = Graph::default();
        let answer = graph.add("repositories answer for the control plane", repositories::ready(pillar));
        control_plane::static_pods(&mut graph, &answer, grains, pillar)?;
        stages.push(Stage { title: "Starting the control plane", name: CONTROL_PLANE, graph });
    }
    Ok(stages)
}

/// A certificate that a node with certain settings has.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedCertificate {
    /// Who signs it.
    pub signer: Signer,
    /// Whom it names.
    pub subject: Subject,
    /// What it may be used for.
    pub usages: Vec<Usage>,
    /// DNS names it is good for.
    pub dns_names: Vec<String>,
    /// Addresses it is good for.
    pub addresses: Vec<IpAddr>,
    /// Seconds it is valid for.
    pub lifetime_seconds: u64,
}

/// Every certificate that a node with these settings asks for: what its agent may have signed, and nothing else.
pub fn certificates(node: &str, pillar: &Pillar) -> Vec<WantedCertificate> {
    let wanted = |step: &Step| match &step.state {
        State::Certificate(Certificate {
            signer,
            subject,
            usages,
            dns_names,
            addresses,
            lifetime_seconds,
            ..
        }) => Some(WantedCertificate {
            signer: signer.clone(),
            subject: subject.clone(),
            usages: usages.clone(),
            dns_names: dns_names.clone(),
            addresses: addresses.clone(),
            lifetime_seconds: *lifetime_seconds,
        }),
        State::Kubeconfig(Kubeconfig { signer, subject, lifetime_seconds, .. }) => Some(WantedCertificate {
            signer: signer.clone(),
            subject: subject.clone(),
            usages: vec![Usage::Client],
            dns_names: Vec::new(),
            addresses: Vec::new(),
            lifetime_seconds: *lifetime_seconds,
        }),
        _ => None,
    };
    pki::keys(node, pillar).steps().iter().filter_map(wanted).collect()
}

/// Images that must be there before anything runs, pulled one after the other and kept.
fn images(pillar: &Pillar, names: &[&str]) -> Result<Graph, FormulaError> {
    let mut graph = Graph::default();
    let mut before = graph.add("repositories answer", repositories::ready(pillar));
    for name in names {
        let pulled = graph.add(format!("image {name} pulled"), pulled(pillar, name)?);
        graph.require(&pulled, &before);
        before = pulled;
    }
    Ok(graph)
}
