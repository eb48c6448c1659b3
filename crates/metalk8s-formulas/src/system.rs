//! The host itself: kernel parameters, modules, swap, users, unwanted services.

use std::path::PathBuf;

use metalk8s_engine::{
    Graph, State, StateId,
    state::{Directory, Group, KernelModule, Service, Swap, Sysctl, User},
};
use metalk8s_types::{Grains, paths};

use crate::pki::REPOSITORIES_PKI;

/// User and group that etcd runs as (NFR-12), in the range that neither Debian, EL nor systemd hands out.
pub(crate) const ETCD_ID: u32 = 60_602;
/// Name of that user and group.
pub(crate) const ETCD_USER: &str = "etcd";

/// User that our own servers run as, in the same range.
pub(crate) const SERVER_ID: u32 = 60_603;
/// Name of that user and group.
pub(crate) const SERVER_USER: &str = "metalk8s";

/// Kernel parameters that Kubernetes and Calico need.
const SYSCTLS: [(&str, &str); 5] = [
    ("net.ipv4.ip_forward", "1"),
    ("net.bridge.bridge-nf-call-iptables", "1"),
    ("net.bridge.bridge-nf-call-ip6tables", "1"),
    ("vm.overcommit_memory", "1"),
    ("kernel.panic", "10"),
];

/// Everything the host must be before the first package of ours comes.
pub(crate) fn prepared(grains: &Grains) -> Graph {
    let mut graph = Graph::default();
    let modules: Vec<_> = ["overlay", "br_netfilter", "nf_conntrack"]
        .into_iter()
        .map(|name| {
            graph.add(
                format!("kernel module {name}"),
                State::KernelModule(KernelModule {
                    name: name.to_owned(),
                    file: PathBuf::from("/etc/modules-load.d/metalk8s.conf"),
                    // A container shares its host's kernel and may not load anything.
                    optional: grains.container,
                }),
            )
        })
        .collect();
    for (key, value) in SYSCTLS {
        let sysctl = graph.add(
            format!("kernel parameter {key}"),
            State::Sysctl(Sysctl {
                key: key.to_owned(),
                value: value.to_owned(),
                file: PathBuf::from("/etc/sysctl.d/90-metalk8s.conf"),
                may_be_read_only: grains.container,
            }),
        );
        graph.require_all(&sysctl, &modules);
    }
    if !grains.container {
        graph.add("no swap", State::Swap(Swap { enabled: false }));
    }
    // BOOT-12: a foreign agent would fight with ours over the same files.
    graph.add("no foreign salt-minion", State::Service(Service::stopped("salt-minion.service")));
    let user = add_user(&mut graph, ETCD_USER, ETCD_ID, "/var/lib/etcd");
    add_user(&mut graph, SERVER_USER, SERVER_ID, paths::STATE_DIR);
    let data = graph.add(
        "data of etcd",
        State::Directory(Directory {
            user: Some(ETCD_USER.to_owned()),
            group: Some(ETCD_USER.to_owned()),
            ..Directory::new("/var/lib/etcd", 0o700)
        }),
    );
    graph.require(&data, &user);
    for (path, mode) in [
        (paths::CONFIG_DIR, 0o755),
        (paths::PKI_DIR, 0o700),
        (REPOSITORIES_PKI, 0o755),
        ("/etc/metalk8s/crypt", 0o700),
        (paths::STATE_DIR, 0o755),
        (paths::LOG_DIR, 0o755),
        ("/etc/kubernetes", 0o755),
        (paths::MANIFESTS, 0o700),
        (paths::KUBERNETES_PKI, 0o755),
        (paths::ETCD_PKI, 0o755),
        ("/var/log/kubernetes", 0o700),
    ] {
        graph.add(format!("directory {path}"), State::Directory(Directory::new(path, mode)));
    }
    graph
}

/// A user of the system with a group of its own, both with this number.
fn add_user(graph: &mut Graph, name: &str, id: u32, home: &str) -> StateId {
    let group =
        graph.add(format!("group {name}"), State::Group(Group { name: name.to_owned(), gid: Some(id) }));
    let user = graph.add(
        format!("user {name}"),
        State::User(User {
            name: name.to_owned(),
            uid: Some(id),
            group: name.to_owned(),
            home: PathBuf::from(home),
            shell: PathBuf::from("/usr/sbin/nologin"),
        }),
    );
    graph.require(&user, &group);
    user
}
