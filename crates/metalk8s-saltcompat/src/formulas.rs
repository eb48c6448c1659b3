//! The formulas that are part of the program, under the names that Salt's users know.

use std::collections::BTreeMap;

use metalk8s_diagnostics::{Problem, Problems, explain};
use metalk8s_engine::{
    Graph, State, StateId,
    state::{Edit, Removed},
};
use metalk8s_types::{Role, VERSION, environment};
use serde_json::{Map, Value, json};

use crate::{ChunkInfo, Compiled, nearest::accepted};

/// A formula of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Formula {
    /// Every archive of the configuration is mounted.
    ArchivesMounted,
    /// Everything that the roles of the machine ask for.
    Highstate,
    /// What one role of the machine asks for.
    Role(Role),
    /// The agent of the machine, with its package.
    Minion,
    /// Facts of the machine, which nobody has to set.
    NodeGrains,
    /// What runs in the cluster and is of no node.
    Deployed,
    /// The package repository of this version is known to the machine.
    Repository,
    /// The server of the repositories, where the machine is to have it.
    RepositoryServer,
    /// Everything of the machine's roles up to its member of etcd.
    Etcd,
    /// The container runtime, with where it pulls from.
    ContainerEngine,
    /// The static pods of the control plane, where the machine has some.
    ControlPlane,
    /// The local balancer of the API servers, with its list of them.
    ApiserverProxy,
    /// What a node knows of the others: API servers, repositories, who may come in.
    Neighbours,
    /// Certificates that are due are renewed, and taken by the programs that use them.
    CertificatesRenewed,
}

/// Every formula with its name.
pub const FORMULAS: [(&str, Formula); 19] = [
    ("metalk8s.archives", Formula::ArchivesMounted),
    ("metalk8s.archives.mounted", Formula::ArchivesMounted),
    ("metalk8s.certificates.renewed", Formula::CertificatesRenewed),
    (HIGHSTATE, Formula::Highstate),
    ("metalk8s.roles.bootstrap", Formula::Role(Role::Bootstrap)),
    ("metalk8s.roles.etcd", Formula::Role(Role::Etcd)),
    ("metalk8s.roles.infra", Formula::Role(Role::Infra)),
    ("metalk8s.roles.master", Formula::Role(Role::Master)),
    ("metalk8s.roles.minion", Formula::Minion),
    ("metalk8s.roles.node", Formula::Role(Role::Node)),
    ("metalk8s.container-engine", Formula::ContainerEngine),
    ("metalk8s.deployed", Formula::Deployed),
    ("metalk8s.node.grains", Formula::NodeGrains),
    ("metalk8s.node.neighbours", Formula::Neighbours),
    ("metalk8s.repo", Formula::Repository),
    ("metalk8s.repo.installed", Formula::RepositoryServer),
    ("metalk8s.kubernetes.apiserver", Formula::ControlPlane),
    ("metalk8s.kubernetes.etcd", Formula::Etcd),
    ("metalk8s.kubernetes.apiserver-proxy", Formula::ApiserverProxy),
];

/// What `state.highstate` applies.
pub(crate) const HIGHSTATE: &str = "metalk8s.roles";

/// Whether a name is of a formula, known or not, and not of a file.
pub(crate) fn is_built_in(name: &str) -> bool {
    name == "metalk8s" || name.starts_with("metalk8s.")
}

/// The formulas of these names, in their order.
///
/// # Errors
/// Every name that is of none, with its neighbours.
pub(crate) fn named(names: &[String]) -> Result<Vec<(&'static str, Formula)>, Problems> {
    let mut problems = Vec::new();
    let mut found = Vec::new();
    for name in names.iter().map(String::as_str) {
        match FORMULAS.iter().find(|(known, _)| *known == name) {
            Some(known) if !found.contains(known) => found.push(*known),
            Some(_) => {}
            None if is_built_in(name) => {
                let message = format!("there is no formula `{name}` in version {VERSION}");
                let near = accepted(name, FORMULAS.iter().map(|(known, _)| *known));
                problems.push(Problem::new(explain::SLS_NOT_FOUND, message).accepted(near));
            }
            None => {
                let message = format!("`{name}` is a file, and formulas are applied by themselves");
                problems
                    .push(Problem::new(explain::SLS_NOT_FOUND, message).accepted("names of formulas alone"));
            }
        }
    }
    Problems::check("could not find the states", problems).map(|()| found)
}

/// Formulas are those of this program: another version's are applied by its own.
///
/// # Errors
/// When `saltenv` is another, with the `installed` ones.
pub(crate) fn check_environment(saltenv: Option<&str>, installed: &[String]) -> Result<(), Problems> {
    let own = environment(VERSION);
    let Some(other) = saltenv.filter(|saltenv| *saltenv != own) else { return Ok(()) };
    let mut known: Vec<String> = installed.iter().map(|name| format!("`{name}`")).collect();
    if known.is_empty() {
        known.push("none".to_owned());
    }
    let message =
        format!("this program has the states of `{own}`, not of `{other}`; installed: {}", known.join(", "));
    let problem = Problem::new(explain::SLS_NOT_FOUND, message).accepted(format!("`{own}`"));
    let problems = Problems::new("could not find the states", vec![problem]);
    Err(if installed.iter().any(|name| name == other) {
        let program = format!("{}/{other}/bin/metalk8s", metalk8s_types::paths::ARCHIVES);
        problems.hint(format!("that version brings its own program: `{program} salt-call ...`"))
    } else if other.starts_with("metalk8s-") {
        problems.hint(format!(
            "the agent of a node gets the program of another version: `salt NODE state.sls ... \
             saltenv={other}`, where the command `salt` is"
        ))
    } else {
        problems
    })
}

/// The states of formulas, as Salt would have read them from files. A state of several is of the first.
pub(crate) fn compiled(formulas: Vec<(&'static str, Graph)>) -> Compiled {
    let mut compiled = Compiled { graph: Graph::default(), chunks: BTreeMap::new(), high: json!({}) };
    let mut high = Map::new();
    for (sls, graph) in formulas {
        for step in graph.steps() {
            if compiled.chunks.contains_key(&step.id) {
                continue;
            }
            let (module, function) = salt_name(&step.state);
            high.insert(
                step.id.to_string(),
                json!({"__sls__": sls, "__env__": environment(VERSION), module: [function]}),
            );
            compiled.chunks.insert(step.id.clone(), info(&step.id, sls, module, function));
        }
        compiled.graph.unite(graph);
    }
    compiled.high = Value::Object(high);
    compiled
}

fn info(id: &StateId, sls: &str, module: &str, function: &str) -> ChunkInfo {
    ChunkInfo {
        id: id.to_string(),
        name: id.to_string(),
        module: module.to_owned(),
        function: function.to_owned(),
        sls: sls.to_owned(),
    }
}

/// The module and function by which Salt's users know such a state.
fn salt_name(state: &State) -> (&'static str, &'static str) {
    match state {
        State::File(_) => ("file", "managed"),
        State::Directory(_) => ("file", "directory"),
        State::Symlink(_) => ("file", "symlink"),
        State::Absent(_) => ("file", "absent"),
        State::FileEdit(edit) => match &edit.edit {
            Edit::Append(_) => ("file", "append"),
            Edit::Prepend(_) => ("file", "prepend"),
            Edit::Replace { .. } => ("file", "replace"),
        },
        State::Extracted(_) => ("archive", "extracted"),
        State::Removed(removed) => match removed {
            Removed::Packages { purge: true, .. } => ("pkg", "purged"),
            Removed::Packages { purge: false, .. } => ("pkg", "removed"),
            Removed::User { .. } => ("user", "absent"),
            Removed::Group { .. } => ("group", "absent"),
            Removed::HostsName { .. } => ("host", "absent"),
            Removed::Mount { .. } => ("mount", "unmounted"),
            Removed::LoopDevice { .. } => ("loop_device", "detached"),
            // Salt knows no states of these: they are shown as what would do it.
            Removed::Containers
            | Removed::FormerStaticPods { .. }
            | Removed::OutdatedStaticPods { .. }
            | Removed::Interface { .. }
            | Removed::Routes { .. }
            | Removed::PacketRules { .. } => ("cmd", "run"),
        },
        State::Trial(_) => ("test", "nop"),
        State::Packages(_) => ("pkg", "installed"),
        State::Repository(_) => ("pkgrepo", "managed"),
        State::Service(service) if service.masked => ("service", "masked"),
        State::Service(service) => match service.running {
            Some(true) => ("service", "running"),
            Some(false) => ("service", "dead"),
            None => ("service", "enabled"),
        },
        State::Sysctl(_) => ("sysctl", "present"),
        State::KernelModule(_) => ("kmod", "present"),
        State::LoopDevice(_) => ("loop_device", "attached"),
        State::Mount(_) => ("mount", "mounted"),
        State::HostsEntry(_) => ("host", "present"),
        State::User(_) => ("user", "present"),
        State::Group(_) => ("group", "present"),
        State::Command(_) => ("cmd", "run"),
        State::Certificate(_) | State::Authority(_) | State::IssuingAuthority(_) => {
            ("x509", "certificate_managed")
        }
        State::KeyPair(_) => ("x509", "private_key_managed"),
        State::Swap(_) => ("metalk8s", "swap"),
        State::Opening(_) => ("metalk8s", "opening"),
        State::Forwarding(_) => ("metalk8s", "forwarding"),
        State::RandomKey(_) => ("metalk8s", "random_key"),
        State::Image(_) => ("containerd", "image_managed"),
        State::StaticPod(_) => ("metalk8s", "static_pod_managed"),
        State::Kubeconfig(_) => ("metalk8s_kubeconfig", "managed"),
        State::Object(_) => ("metalk8s_kubernetes", "object_present"),
        State::NodeMetadata(_) => ("metalk8s_kubernetes", "node_managed"),
        State::Backup(_) => ("metalk8s", "backup"),
        State::Wait(_) => ("metalk8s", "wait"),
    }
}
