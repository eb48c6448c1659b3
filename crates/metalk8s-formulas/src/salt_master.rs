//! The configuration master: the conductor, in a pod with the commands that people know (CFG-01).

use std::path::Path;

use metalk8s_engine::{Graph, State, state::StaticPod};
use metalk8s_types::{Pillar, paths};

use crate::{
    accounts::ROOT,
    bootstrap::{FormulaError, image, pulled},
    pod::{HostPath, Pod},
};

/// The static pod `salt-master`.
///
/// It is root, because it has the keys to every machine, which belong to root; it can do nothing else that
/// root can, but read.
pub(crate) fn static_pod(pillar: &Pillar) -> Result<Graph, FormulaError> {
    let mut graph = Graph::default();
    let reference = image(pillar, "salt-master")?;
    let pulled = graph.add("image salt-master pulled", pulled(pillar, "salt-master")?);
    let pod = Pod::new("salt-master", reference, ROOT)
        .command(["metalk8s", "conductor", "--kubeconfig", paths::CONDUCTOR_KUBECONFIG])
        .capability("DAC_READ_SEARCH")
        .host_path(HostPath::directory("configuration", paths::CONFIG_DIR).read_only())
        .host_path(HostPath::directory("salt", "/etc/salt").read_only())
        .host_path(HostPath::directory("pki", paths::KUBERNETES_PKI).read_only())
        .host_path(
            HostPath::directory("archives", paths::ARCHIVES).read_only().propagation("HostToContainer"),
        )
        .requests("50m", "64Mi");
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
    Ok(graph)
}
