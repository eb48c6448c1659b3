//! The store of Kubernetes as a static pod.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use metalk8s_engine::{Graph, State, StateId, state::StaticPod};
use metalk8s_types::{Grains, Pillar, paths};

use crate::{
    accounts::ETCD,
    bootstrap::{FormulaError, image, pulled},
    hostname::node_name,
    layout::endpoint,
    pod::{HostPath, Pod},
};

/// Where a member keeps what the cluster knows.
pub(crate) const DATA: &str = "/var/lib/etcd";

/// The first member of a new cluster, or one that joins; its image comes once `repositories` answer.
pub(crate) fn static_pod(
    graph: &mut Graph,
    repositories: &StateId,
    grains: &Grains,
    pillar: &Pillar,
) -> Result<(), FormulaError> {
    let reference = image(pillar, "etcd")?;
    let pulled = graph.add("image etcd pulled", pulled(pillar, "etcd")?);
    graph.require(&pulled, repositories);
    let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let pki = |name: &str| format!("{}/{name}", paths::ETCD_PKI);
    let client = format!("https://{}", endpoint(pillar.node.control_plane, 2379));
    let peer = format!("https://{}", endpoint(pillar.node.control_plane, 2380));
    let (initial_cluster, initial_state) = match &pillar.initial_cluster {
        None => (format!("{}={peer}", node_name(grains)), "new"),
        Some(members) => (members.clone(), "existing"),
    };
    let arguments = [
        ("name", node_name(grains).to_owned()),
        ("data-dir", DATA.to_owned()),
        ("listen-client-urls", format!("https://127.0.0.1:2379,{client}")),
        ("advertise-client-urls", client),
        ("listen-peer-urls", peer.clone()),
        ("initial-advertise-peer-urls", peer.clone()),
        ("initial-cluster", initial_cluster),
        ("initial-cluster-state", initial_state.to_owned()),
        ("listen-metrics-urls", "http://127.0.0.1:2381".to_owned()),
        ("client-cert-auth", "true".to_owned()),
        ("cert-file", pki("server.crt")),
        ("key-file", pki("server.key")),
        ("trusted-ca-file", pki("ca.crt")),
        ("peer-client-cert-auth", "true".to_owned()),
        ("peer-cert-file", pki("peer.crt")),
        ("peer-key-file", pki("peer.key")),
        ("peer-trusted-ca-file", pki("ca.crt")),
        ("snapshot-count", "10000".to_owned()),
        ("watch-progress-notify-interval", "5s".to_owned()),
        ("feature-gates", "InitialCorruptCheck=true".to_owned()),
    ];
    let pod = Pod::new("etcd", reference, ETCD)
        .command(["etcd"])
        .command(arguments.map(|(name, value)| format!("--{name}={value}")))
        .host_path(HostPath::directory("data", DATA))
        .host_path(HostPath::directory("pki", paths::ETCD_PKI).read_only())
        .http_probes(localhost, 2381, "/livez", "/readyz")
        .requests("100m", "100Mi");
    let manifest = graph.add(
        "static pod etcd",
        State::StaticPod(StaticPod {
            path: Path::new(paths::MANIFESTS).join("etcd.yaml"),
            manifest: pod.manifest(),
            // Certificates and keys of its own are read for each connection (etcd, security guide).
            files: vec![Path::new(paths::ETCD_PKI).join("ca.crt")],
        }),
    );
    graph.require(&manifest, &pulled);
    Ok(())
}
