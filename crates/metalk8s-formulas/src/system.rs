//! The host itself: kernel parameters, modules, swap, users, unwanted services.

use std::path::PathBuf;

use metalk8s_engine::{
    Graph, Guard, State,
    state::{Command, Directory, KernelModule, RandomKey, Service, Swap, Sysctl},
};
use metalk8s_types::{Grains, Pillar, Role, paths};

use crate::{
    accounts::{APISERVER, CONTROLLER_MANAGER, ETCD, SCHEDULER, SERVER},
    etcd,
    pki::REPOSITORIES_PKI,
};

/// Where Salt had its configuration, and our kubeconfigs of the same use are.
const SALT_DIR: &str = "/etc/salt";

/// The program, as its package brings it.
const PROGRAM: &str = "/usr/bin/metalk8s";

/// Kernel parameters that Kubernetes, Calico and etcd need.
///
/// etcd means to give a silent member up after 5 s, but its dialer with that limit is not the one that is used (3.6.16,
/// client/pkg/transport: `DialContext` goes before `Dial`), so the kernel has to: after 13 s instead of 15 min, and a
/// member that was cut off is spoken to again after 7 s instead of minutes (tcp(7), `tcp_retries2`).
const SYSCTLS: [(&str, &str); 6] = [
    ("net.ipv4.ip_forward", "1"),
    ("net.bridge.bridge-nf-call-iptables", "1"),
    ("net.bridge.bridge-nf-call-ip6tables", "1"),
    ("vm.overcommit_memory", "1"),
    ("kernel.panic", "10"),
    ("net.ipv4.tcp_retries2", "5"),
];

/// Everything the host must be before the first package of ours comes.
pub fn prepared(grains: &Grains, pillar: &Pillar) -> Graph {
    let has = |role| pillar.roles.contains(&role);
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
    // BOOT-12: a foreign agent would fight with ours over the same files. Ours answers to that name, too.
    let minion = graph.add("no foreign salt-minion", State::Service(Service::stopped("salt-minion.service")));
    graph.guard(
        &minion,
        Guard {
            because: format!("{PROGRAM} exists: it is the agent of MetalK8s"),
            command: Command { creates: Some(PROGRAM.into()), ..Command::new(Vec::new()) },
        },
    );
    if has(Role::Etcd) {
        let etcd = ETCD.add_to(&mut graph);
        let data = graph.add("data of etcd", State::Directory(ETCD.directory(etcd::DATA)));
        graph.require(&data, &etcd);
    }
    SERVER.add_to(&mut graph);
    if has(Role::Master) {
        for account in [APISERVER, CONTROLLER_MANAGER, SCHEDULER] {
            account.add_to(&mut graph);
        }
    }
    for (path, mode) in [
        (paths::CONFIG_DIR, 0o755),
        (paths::PKI_DIR, 0o700),
        (REPOSITORIES_PKI, 0o755),
        ("/etc/metalk8s/crypt", 0o700),
        (SALT_DIR, 0o755),
        ("/etc/salt/pki", 0o755),
        (paths::SALT_API_PKI, 0o755),
        (paths::STATE_DIR, 0o755),
        (paths::LOG_DIR, 0o755),
        ("/etc/kubernetes", 0o755),
        (paths::MANIFESTS, 0o700),
        (paths::KUBERNETES_PKI, 0o755),
        (paths::ETCD_PKI, 0o755),
    ] {
        graph.add(format!("directory {path}"), State::Directory(Directory::new(path, mode)));
    }
    graph.add(
        "key of what plans may not show",
        State::RandomKey(RandomKey { path: PathBuf::from(paths::PLAN_KEY), bytes: 32 }),
    );
    graph
}
