//! Roles that a node had, and has no more: their static pods end, and their keys and data are gone.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use metalk8s_engine::{
    Graph, State, StateId,
    state::{Absent, Command},
};
use metalk8s_types::{Pillar, Role, paths};

use crate::{Stage, etcd, pki::ROOT_KUBECONFIG};

/// Roles that can be taken from a node. The others bring nothing to its machine, or stay as long as it.
pub const REMOVABLE: [Role; 2] = [Role::Etcd, Role::Master];

/// How long static pods have to end, in seconds.
const ENDS: u64 = 120;

/// The settings of the same node with every role that can be taken from one; `None` where it has all of them.
pub(crate) fn with_all_roles(pillar: &Pillar) -> Option<Pillar> {
    let roles: BTreeSet<Role> = pillar.roles.iter().copied().chain(REMOVABLE).collect();
    (roles != pillar.roles).then(|| Pillar { roles, ..pillar.clone() })
}

/// What `possible` stages leave on a machine and its `own` do not is gone: first the static pods, then files.
pub(crate) fn absent(own: &[Stage], possible: &[Stage], pillar: &Pillar) -> Graph {
    let own = files(own);
    let surplus: Vec<PathBuf> = files(possible).into_iter().filter(|path| !own.contains(path)).collect();
    let (pods, files): (Vec<_>, Vec<_>) =
        surplus.into_iter().partition(|path| path.starts_with(paths::MANIFESTS));
    let mut graph = Graph::default();
    let names: Vec<_> = pods.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
    let running = format!("crictl ps --quiet --name '^({})$'", names.join("|"));
    let ended = graph.add(
        "static pods of former roles ended",
        State::Command(Command {
            only_on_change: true,
            timeout_seconds: ENDS,
            ..shell(&format!("while {running} | grep -q .; do sleep 0.2; done"))
        }),
    );
    for pod in pods {
        let gone = add_absent(&mut graph, pod);
        graph.watch(&ended, &gone);
    }
    let data = (!pillar.roles.contains(&Role::Etcd)).then(|| PathBuf::from(etcd::DATA));
    for path in files.into_iter().chain(data) {
        let gone = add_absent(&mut graph, path);
        graph.require(&gone, &ended);
    }
    if !pillar.roles.contains(&Role::Master) {
        let is_ours = format!("test \"$(readlink {ROOT_KUBECONFIG})\" = {}", paths::ADMIN_KUBECONFIG);
        graph.add(
            "no link to a former kubeconfig of root",
            State::Command(Command {
                only_if: Some(shell(&is_ours).argv),
                timeout_seconds: 10,
                ..shell(&format!("rm {ROOT_KUBECONFIG}"))
            }),
        );
    }
    graph
}

/// Files that stages make; folders may hold what others have put there.
fn files(stages: &[Stage]) -> BTreeSet<PathBuf> {
    let made = |state: &State| -> Vec<PathBuf> {
        match state {
            State::File(file) => vec![file.path.clone()],
            State::StaticPod(pod) => vec![pod.path.clone()],
            State::RandomKey(key) => vec![key.path.clone()],
            State::KeyPair(pair) => vec![pair.private.clone(), pair.public.clone()],
            State::Authority(authority) => vec![authority.certificate.clone(), authority.key.clone()],
            State::IssuingAuthority(authority) => [&authority.certificate, &authority.key]
                .into_iter()
                .chain(&authority.known)
                .cloned()
                .collect(),
            State::Certificate(certificate) => vec![certificate.certificate.clone(), certificate.key.clone()],
            State::Kubeconfig(kubeconfig) => vec![kubeconfig.path.clone()],
            _ => Vec::new(),
        }
    };
    stages.iter().flat_map(|stage| stage.graph.steps()).flat_map(|step| made(&step.state)).collect()
}

fn shell(script: &str) -> Command {
    Command::new(["sh", "-c", script].map(str::to_owned).to_vec())
}

fn add_absent(graph: &mut Graph, path: impl AsRef<Path>) -> StateId {
    let path = path.as_ref().to_owned();
    graph.add(format!("no {} of a former role", path.display()), State::Absent(Absent { path }))
}
