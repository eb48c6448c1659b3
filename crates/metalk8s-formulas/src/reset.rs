//! The way back: what formulas and their programs have made of a machine is gone.
//!
//! It needs no settings of the cluster, which may be gone before. A test holds it against all that formulas make.

use std::{collections::BTreeSet, path::PathBuf};

use metalk8s_engine::{
    Graph, State, StateId,
    state::{Absent, Command, Edit, FileEdit, Removed, Service, Swap},
};
use metalk8s_types::{Leftovers, paths};

use crate::{
    Stage,
    accounts::{APISERVER, CONTROLLER_MANAGER, ETCD, SCHEDULER, SERVER},
    agent, etcd,
    repositories::PACKAGES,
};

/// The package of the agent, which is the last to go.
const AGENT: &str = "metalk8s-agent";
/// What comes with the packages of a node without being asked for, and what a person may have added from the same
/// repository (DIAG-08).
const BESIDE_THEM: [&str; 2] = ["kubernetes-node", "metalk8s-sosreport"];

/// Folders and files that are ours alone.
const FILES: [&str; 27] = [
    "/etc/kubernetes",
    "/etc/containerd",
    "/etc/cni",
    "/etc/salt",
    "/etc/crictl.yaml",
    "/etc/sysctl.d/90-metalk8s.conf",
    "/etc/modules-load.d/metalk8s.conf",
    "/etc/apt/metalk8s-repositories.crt",
    "/etc/apt/apt.conf.d/90metalk8s",
    "/opt/cni",
    "/opt/containerd",
    "/run/calico",
    "/run/containerd",
    "/run/metalk8s",
    "/run/nri",
    "/usr/libexec/kubernetes",
    "/usr/libexec/metalk8s",
    "/var/lib/calico",
    "/var/lib/cni",
    "/var/lib/containerd",
    etcd::DATA,
    "/var/lib/kubelet",
    "/var/log/calico",
    "/var/log/containers",
    "/var/log/kubernetes",
    "/var/log/pods",
    paths::DOCUMENTED_BOOTSTRAP_LOG,
];
/// Settings of units, which systemd has to read again.
const DROP_INS: [&str; 2] =
    ["/etc/systemd/system/kubelet.service.d", "/etc/systemd/system/containerd.service.d"];
/// What the agent works with.
const FILES_OF_AGENT: [&str; 3] = [paths::AGENT_KUBECONFIG, paths::STATE_DIR, paths::LOG_DIR];
/// Ours in the folder of the configuration, where a person's own files are, too.
const FILES_OF_CONFIGURATION: [&str; 4] = [
    "/etc/metalk8s/crypt",
    "/etc/metalk8s/pki/repositories",
    "/etc/metalk8s/pki/agent.key",
    "/etc/metalk8s/pki/agent.csr",
];
/// Our rules for the next boot.
const RULES: &str = "/etc/nftables.d/metalk8s.nft";
/// The main files of nftables, which may include ours.
const NFTABLES: [&str; 2] = ["/etc/nftables.conf", "/etc/sysconfig/nftables.conf"];
/// Routes of Calico by their origin (felix, `DeviceRouteProtocol`).
const CALICO_ROUTES: u8 = 80;
/// And of BIRD (rtnetlink(7), `RTPROT_BIRD`).
const BIRD_ROUTES: u8 = 12;

/// All stages of the way back, in their order. With `keeps_agent`, all but the last, which ends the agent: who
/// was asked by it can still answer.
pub fn reset(found: &Leftovers, keeps_agent: bool) -> Vec<Stage> {
    let mut stages = vec![
        Stage { title: "Stopping the kubelet and its pods", name: "pods", graph: pods() },
        Stage { title: "Unmounting file systems", name: "mounts", graph: mounts(found) },
        Stage { title: "Removing networks", name: "networks", graph: networks(found) },
        Stage { title: "Removing packages", name: "packages", graph: packages() },
        Stage { title: "Removing files", name: "files", graph: files(found) },
        Stage { title: "Removing users", name: "users", graph: users() },
    ];
    if !keeps_agent {
        stages.push(Stage { title: "Removing the agent", name: "agent", graph: agent(found) });
    }
    stages
}

fn pods() -> Graph {
    let mut graph = Graph::default();
    let kubelet = graph.add("kubelet stopped", State::Service(Service::stopped("kubelet.service")));
    // Pods go on without containerd, and none is begun any more.
    let containerd = graph.add("containerd stopped", State::Service(Service::stopped("containerd.service")));
    graph.require(&containerd, &kubelet);
    let containers = graph.add("pods ended", State::Removed(Removed::Containers));
    graph.require(&containers, &containerd);
    graph
}

/// One after the other: what is inside goes before what it is in.
fn mounts(found: &Leftovers) -> Graph {
    let mut graph = Graph::default();
    let unmounted =
        |target: &PathBuf, forget| State::Removed(Removed::Mount { target: target.clone(), forget });
    let mut before: Option<StateId> = None;
    let targets = found.mounts.iter().chain(&found.namespaces).map(|target| (target, false));
    for (target, forget) in targets.chain(found.archives.iter().map(|target| (target, true))) {
        let id = graph.add(format!("unmounted {}", target.display()), unmounted(target, forget));
        if let Some(before) = &before {
            graph.require(&id, before);
        }
        before = Some(id);
    }
    graph
}

fn networks(found: &Leftovers) -> Graph {
    let mut graph = Graph::default();
    for path in &found.namespaces {
        add_absent(&mut graph, path);
    }
    graph.add("routes to pods", State::Removed(Removed::Routes { protocol: CALICO_ROUTES }));
    if found.has_bgp_routes {
        graph.add("routes to pods by BGP", State::Removed(Removed::Routes { protocol: BIRD_ROUTES }));
    }
    for name in &found.interfaces {
        graph.add(format!("interface {name}"), State::Removed(Removed::Interface { name: name.clone() }));
    }
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    graph.add(
        "rules of the packet filter",
        State::Removed(Removed::PacketRules {
            tables: names(&["kube-proxy"]),
            chains: names(&["cali", "KUBE-"]),
            comments: names(&["metalk8s ", "cali:"]),
        }),
    );
    graph
}

fn packages() -> Graph {
    let mut graph = Graph::default();
    let names = PACKAGES.into_iter().chain(BESIDE_THEM).filter(|name| *name != AGENT);
    graph.add("packages of a node", removed_packages(names));
    graph
}

fn removed_packages<'a>(names: impl IntoIterator<Item = &'a str>) -> State {
    let names: BTreeSet<String> = names.into_iter().map(str::to_owned).collect();
    State::Removed(Removed::Packages { names, purge: true, unneeded: true })
}

fn files(found: &Leftovers) -> Graph {
    let mut graph = Graph::default();
    let repositories = found.repositories.iter().cloned();
    for path in FILES.map(PathBuf::from).into_iter().chain(repositories) {
        add_absent(&mut graph, path);
    }
    if found.has_root_kubeconfig {
        let gone = ["/root/.kube/config", "/root/.kube/cache"].map(|path| add_absent(&mut graph, path));
        add_removed_if_empty(&mut graph, "kubectl's folder of root", "/root/.kube", &gone);
    }
    let gone = [add_absent(&mut graph, RULES)];
    add_removed_if_empty(&mut graph, "folder of nftables", "/etc/nftables.d", &gone);
    for path in NFTABLES {
        graph.add(
            format!("{path} includes nothing of ours"),
            State::FileEdit(FileEdit {
                path: path.into(),
                edit: Edit::Replace {
                    pattern: r#"(?m)^include "/etc/nftables\.d/metalk8s\.nft\*"\n"#.to_owned(),
                    with: String::new(),
                    most: 0,
                    otherwise: None,
                },
                may_be_missing: true,
            }),
        );
    }
    if found.has_swap_lines {
        graph.add("swap", State::Swap(Swap { enabled: true }));
    }
    let drop_ins: Vec<StateId> = DROP_INS.iter().map(|path| add_absent(&mut graph, path)).collect();
    let reloaded = graph.add("systemd knows", State::Command(reload()));
    for id in &drop_ins {
        graph.watch(&reloaded, id);
    }
    graph
}

/// A folder that may hold what others have put there, after what we have.
fn add_removed_if_empty(graph: &mut Graph, id: &str, folder: &str, ours: &[StateId]) {
    let argv = ["rmdir", "--ignore-fail-on-non-empty", folder].map(str::to_owned).to_vec();
    let removed = Command { only_on_change: true, timeout_seconds: 10, ..Command::new(argv) };
    let removed = graph.add(id, State::Command(removed));
    for id in ours {
        graph.watch(&removed, id);
    }
}

fn reload() -> Command {
    let argv = ["systemctl", "daemon-reload"].map(str::to_owned).to_vec();
    Command { only_on_change: true, timeout_seconds: 120, ..Command::new(argv) }
}

fn users() -> Graph {
    let mut graph = Graph::default();
    for account in [ETCD, SERVER, APISERVER, CONTROLLER_MANAGER, SCHEDULER] {
        let name = account.name.to_owned();
        let user = State::Removed(Removed::User { name: name.clone(), home: false });
        let user = graph.add(format!("user {name}"), user);
        let group = graph.add(format!("group {name}"), State::Removed(Removed::Group { name }));
        graph.require(&group, &user);
    }
    graph
}

/// The configuration of a person stays, with the key that is beside it: they were there before.
fn agent(found: &Leftovers) -> Graph {
    let mut graph = Graph::default();
    let stopped = graph.add("agent stopped", State::Service(Service::stopped(agent::UNIT)));
    let removed = graph.add("package of the agent", removed_packages([AGENT]));
    graph.require(&removed, &stopped);
    let mut files = FILES_OF_AGENT.to_vec();
    if found.has_configuration {
        files.extend(FILES_OF_CONFIGURATION);
    } else {
        files.push(paths::CONFIG_DIR);
    }
    for path in files {
        let id = add_absent(&mut graph, path);
        graph.require(&id, &removed);
    }
    graph
}

fn add_absent(graph: &mut Graph, path: impl Into<PathBuf>) -> StateId {
    let path = path.into();
    graph.add(format!("no {}", path.display()), State::Absent(Absent { path }))
}
