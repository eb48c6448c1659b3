//! A machine that formulas are asked about.

use std::path::{Path, PathBuf};

use metalk8s_engine::{State, state::Removed};
use metalk8s_formulas::reset;
use metalk8s_types::{Leftovers, paths};

/// What a reset would leave of these states, once they were made true.
pub(crate) fn left_by_reset(states: &[State]) -> Vec<String> {
    let archives = states.iter().filter_map(|state| match state {
        State::Mount(mount) => Some(mount.target.clone()),
        _ => None,
    });
    let repositories = states.iter().filter_map(|state| match state {
        State::Repository(repository) => Some(sources(&repository.name)),
        _ => None,
    });
    let found = Leftovers {
        archives: archives.collect(),
        repositories: repositories.collect(),
        has_root_kubeconfig: true,
        has_swap_lines: true,
        ..Leftovers::default()
    };
    let undone: Vec<State> = reset(&found, false)
        .iter()
        .flat_map(|stage| stage.graph.steps().iter().map(|step| step.state.clone()))
        .collect();
    states.iter().flat_map(|state| left(state, &undone)).collect()
}

fn sources(repository: &str) -> PathBuf {
    format!("/etc/apt/sources.list.d/{repository}.sources").into()
}

fn left(state: &State, undone: &[State]) -> Vec<String> {
    let absent = |path: &Path| {
        undone.iter().any(|state| match state {
            State::Absent(absent) => path.starts_with(&absent.path),
            State::Command(command) => {
                command.argv[0] == "rmdir" && command.argv.last().map(Path::new) == Some(path)
            }
            _ => false,
        })
    };
    let removed = |wanted: &dyn Fn(&Removed) -> bool| {
        undone.iter().any(|state| matches!(state, State::Removed(removed) if wanted(removed)))
    };
    let paths: Vec<&Path> = match state {
        State::File(file) => vec![&file.path],
        State::Directory(directory) => vec![&directory.path],
        State::Symlink(link) => vec![&link.path],
        State::Extracted(extracted) => vec![&extracted.target],
        State::StaticPod(pod) => vec![&pod.path],
        State::KeyPair(pair) => vec![&pair.private, &pair.public],
        State::RandomKey(key) => vec![&key.path],
        State::Authority(authority) => vec![&authority.certificate, &authority.key],
        State::IssuingAuthority(authority) => [&authority.certificate, &authority.key]
            .into_iter()
            .chain(&authority.known)
            .map(PathBuf::as_path)
            .collect(),
        State::Certificate(certificate) => vec![&certificate.certificate, &certificate.key],
        State::Kubeconfig(kubeconfig) => vec![&kubeconfig.path],
        State::Sysctl(sysctl) => vec![&sysctl.file],
        State::KernelModule(module) => vec![&module.file],
        State::Command(command) => command.creates.iter().map(PathBuf::as_path).collect(),
        State::Image(_) => vec![Path::new("/var/lib/containerd")],
        State::Opening(_) | State::Forwarding(_) => ["/etc/nftables.d/metalk8s.nft", paths::FIREWALLD_OPENINGS].map(Path::new).to_vec(),
        State::Repository(_)
        | State::Packages(_)
        | State::Service(_)
        | State::LoopDevice(_)
        | State::Mount(_)
        | State::Swap(_)
        | State::User(_)
        | State::Group(_)
        // They are in the cluster, or change nothing.
        | State::Object(_)
        | State::NodeMetadata(_)
        | State::Backup(_)
        | State::Wait(_)
        | State::Trial(_)
        | State::Absent(_)
        | State::Removed(_) => Vec::new(),
        State::FileEdit(_) | State::HostsEntry(_) => return vec![format!("{state:?}: nobody knows how to undo it")],
    };
    let is_undone = match state {
        State::Repository(repository) => absent(&sources(&repository.name)),
        State::Packages(packages) => packages.packages.keys().all(|name| {
            removed(&|removed| matches!(removed, Removed::Packages { names, .. } if names.contains(name)))
        }),
        // What we stop was somebody else's, and it is not known whether it ran.
        State::Service(service) if service.running == Some(false) => true,
        State::Service(service) => undone.iter().any(
            |state| matches!(state, State::Service(undone) if undone.name == service.name && undone.running == Some(false)),
        ),
        State::Mount(mount) => {
            removed(&|removed| matches!(removed, Removed::Mount { target, forget: true } if *target == mount.target))
        }
        State::LoopDevice(device) => {
            removed(&|removed| matches!(removed, Removed::LoopDevice { file } if *file == device.file))
        }
        State::Swap(_) => undone.iter().any(|state| matches!(state, State::Swap(swap) if swap.enabled)),
        State::User(user) => removed(&|removed| matches!(removed, Removed::User { name, .. } if *name == user.name)),
        State::Group(group) => removed(&|removed| matches!(removed, Removed::Group { name } if *name == group.name)),
        State::Opening(_) | State::Forwarding(_) => removed(&|removed| matches!(removed, Removed::PacketRules { comments, .. } if !comments.is_empty())),
        _ => true,
    };
    let mut left: Vec<String> =
        paths.into_iter().filter(|path| !absent(path)).map(|path| path.display().to_string()).collect();
    if !is_undone {
        left.push(format!("{state:?}"));
    }
    left
}
