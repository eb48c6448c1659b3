//! The configuration master: the conductor, in a pod with the commands that people know (CFG-01), and the HTTP
//! API beside it (CFG-17).

use std::path::Path;

use metalk8s_engine::{Graph, State, state::StaticPod};
use metalk8s_types::{Pillar, labels, paths};
use serde_json::json;

use crate::{
    accounts::{ROOT, SERVER},
    addons::{object_state, title},
    bootstrap::{FormulaError, image, pulled},
    layout::endpoint,
    pki::SALT_API,
    pod::{HostPath, Pod},
};

/// Where the HTTP API listens (constants.md, section 1).
pub(crate) const API_PORT: u16 = 4507;

const MANAGER: &str = "metalk8s-salt-master";

/// The static pod `salt-master`, and the Service that leads to its HTTP API.
///
/// The conductor is root, because it has the keys to every machine, which belong to root; it can do nothing else
/// that root can, but read. The HTTP API, which talks to strangers, can read none of them.
pub(crate) fn static_pod(pillar: &Pillar) -> Result<Graph, FormulaError> {
    let mut graph = Graph::default();
    let reference = image(pillar, "salt-master")?;
    let pulled = graph.add("image salt-master pulled", pulled(pillar, "salt-master")?);
    let pod = Pod::new("salt-master", reference.clone(), ROOT)
        .command(["metalk8s", "conductor", "--kubeconfig", paths::CONDUCTOR_KUBECONFIG])
        .capability("DAC_READ_SEARCH")
        .host_path(HostPath::directory("configuration", paths::CONFIG_DIR).read_only())
        .host_path(HostPath::directory("salt", "/etc/salt").read_only())
        .host_path(HostPath::directory("pki", paths::KUBERNETES_PKI).read_only())
        .host_path(
            HostPath::directory("archives", paths::ARCHIVES).read_only().propagation("HostToContainer"),
        )
        .requests("50m", "64Mi")
        .beside(api(pillar, reference));
    let manifest = graph.add(
        "static pod salt-master",
        State::StaticPod(StaticPod {
            path: Path::new(paths::MANIFESTS).join("salt-master.yaml"),
            manifest: pod.manifest(),
            // It reads renewed files by itself.
            files: Vec::new(),
        }),
    );
    graph.require(&manifest, &pulled);
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "salt-master",
            "namespace": "kube-system",
            "labels": {
                "app.kubernetes.io/name": "salt-master",
                labels::MANAGED_BY: labels::MANAGED_BY_VALUE,
                labels::PART_OF: labels::PART_OF_VALUE,
            },
        },
        "spec": {
            "type": "ClusterIP",
            "selector": {"app.kubernetes.io/name": "salt-master"},
            "ports": [{"name": "api", "port": API_PORT, "targetPort": API_PORT, "protocol": "TCP"}],
        },
    });
    graph.add(title(&service), object_state(service, MANAGER));
    Ok(graph)
}

fn api(pillar: &Pillar, image: String) -> Pod {
    let own = pillar.node.control_plane;
    Pod::new("salt-api", image, SERVER)
        .command(["metalk8s", "salt-api", "--listen", &endpoint(own, API_PORT)])
        .command(["--tls-certificate", &format!("{SALT_API}.crt"), "--tls-key", &format!("{SALT_API}.key")])
        .command(["--kubeconfig", paths::SALT_API_KUBECONFIG])
        .host_path(HostPath::directory("salt", "/etc/salt").read_only())
        .https_probes(own, API_PORT, "/", "/")
        .requests("20m", "32Mi")
}
