//! The local balancer of the API servers (NET-12).

use std::{net::Ipv4Addr, path::Path};

use metalk8s_engine::{
    Graph, State,
    state::{File, StaticPod},
};
use metalk8s_types::{Pillar, header, paths};

use crate::{
    accounts::SERVER,
    bootstrap::{FormulaError, image},
    layout::{APISERVER_PROXY, endpoint},
    pod::{HostPath, Pod},
};

/// The directory with the list of API servers; the directory is mounted, so that a replaced file is seen.
const DIRECTORY: &str = "/var/lib/metalk8s/apiserver-proxy";

/// The list of API servers of a node, `address:port` in each line that is no comment.
pub const LIST: &str = "/var/lib/metalk8s/apiserver-proxy/backends";

/// The balancer as a static pod, and its list of API servers, which it reads again when it changes.
pub fn static_pod(pillar: &Pillar) -> Result<Graph, FormulaError> {
    let mut graph = Graph::default();
    let backends: String = pillar.masters.iter().map(|address| endpoint(*address, 6443) + "\n").collect();
    let list = graph.add("list of API servers", State::File(File::text(LIST, header() + &backends)));
    let pod = Pod::new("apiserver-proxy", image(pillar, "metalk8s")?, SERVER)
        .command(["metalk8s", "apiserver-proxy", "--listen", APISERVER_PROXY])
        .command(["--health", "127.0.0.1:7080", "--backends-file", LIST])
        .command(["--local", &pillar.node.control_plane.to_string()])
        .host_path(HostPath::directory("backends", DIRECTORY).read_only())
        .http_probes(Ipv4Addr::LOCALHOST.into(), 7080, "/healthz", "/healthz")
        .requests("20m", "16Mi");
    let manifest = graph.add(
        "static pod apiserver-proxy",
        State::StaticPod(StaticPod {
            path: Path::new(paths::MANIFESTS).join("apiserver-proxy.yaml"),
            manifest: pod.manifest(),
            files: Vec::new(),
        }),
    );
    graph.require(&manifest, &list);
    Ok(graph)
}
