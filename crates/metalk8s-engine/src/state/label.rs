//! States in the words of plans, logs and errors.

use std::fmt;

use super::{Condition, Packages, State};

impl State {
    /// What it is about, such as `File /etc/hosts` or `Package kubelet=1.35.4`.
    pub fn label(&self) -> String {
        match self {
            Self::File(file) => format!("File {}", file.path.display()),
            Self::Directory(directory) => format!("Directory {}", directory.path.display()),
            Self::Symlink(link) => format!("Symlink {}", link.path.display()),
            Self::Absent(absent) => format!("Absent {}", absent.path.display()),
            Self::FileEdit(edit) => format!("Part of {}", edit.path.display()),
            Self::Extracted(archive) => {
                format!("Archive {} in {}", archive.source.display(), archive.target.display())
            }
            Self::Removed(removed) => format!("No {}", removed.label()),
            Self::Packages(packages) => label_of_packages(packages),
            Self::Repository(repository) => format!("Repository {}", repository.name),
            Self::Service(service) => format!("Service {}", service.name),
            Self::Sysctl(sysctl) => format!("Sysctl {}={}", sysctl.key, sysctl.value),
            Self::KernelModule(module) => format!("Kernel module {}", module.name),
            Self::LoopDevice(device) => format!("Loop device of {}", device.file.display()),
            Self::Mount(mount) => format!("Mount {}", mount.target.display()),
            Self::Swap(swap) => format!("Swap {}", if swap.enabled { "on" } else { "off" }),
            Self::HostsEntry(entry) => format!("Hosts entry {} {}", entry.address, entry.names.join(" ")),
            Self::User(user) => format!("User {}", user.name),
            Self::Group(group) => format!("Group {}", group.name),
            Self::Opening(opening) => format!("Opening {}/{}", opening.port, opening.protocol),
            Self::Forwarding(forwarding) => format!("Forwarding {}", forwarding.name),
            Self::Command(command) => format!("Command {}", command.argv.join(" ")),
            Self::Image(image) => format!("Image {}", image.reference),
            Self::StaticPod(pod) => format!("Static pod {}", pod.path.display()),
            Self::KeyPair(pair) => format!("Key pair {}", pair.private.display()),
            Self::RandomKey(key) => format!("Random key {}", key.path.display()),
            Self::Authority(authority) => format!("Authority {}", authority.certificate.display()),
            Self::IssuingAuthority(authority) => {
                format!("Issuing authority {}", authority.certificate.display())
            }
            Self::Certificate(certificate) => format!("Certificate {}", certificate.certificate.display()),
            Self::Kubeconfig(kubeconfig) => format!("Kubeconfig {}", kubeconfig.path.display()),
            Self::Object(object) => label_of_object(&object.manifest),
            Self::NodeMetadata(node) => format!("Labels and taints of Node {}", node.node),
            Self::Backup(backup) => format!("Backup in {}", backup.folder.display()),
            Self::Wait(wait) => format!("Wait until {}", wait.until),
            Self::Trial(trial) => format!("Trial {}", trial.name),
        }
    }

    /// Whether a watched change makes it do something although it has nothing to change itself.
    pub fn reacts(&self) -> bool {
        matches!(self, Self::Service(_) | Self::Command(_) | Self::StaticPod(_))
    }

    /// Whether it does nothing at all unless a change was watched.
    pub(crate) fn runs_only_on_change(&self) -> bool {
        matches!(self, Self::Command(command) if command.only_on_change)
    }
}

fn label_of_packages(packages: &Packages) -> String {
    let mut names = packages.packages.iter().map(|(name, version)| match version {
        Some(version) => format!("{name}={version}"),
        None => name.clone(),
    });
    let first = names.next().unwrap_or_default();
    match names.len() {
        0 => format!("Package {first}"),
        1..4 => format!("Packages {first}, {}", names.collect::<Vec<_>>().join(", ")),
        more => format!("Packages {first} and {more} more"),
    }
}

fn label_of_object(manifest: &serde_json::Value) -> String {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("?").to_owned();
    let kind = text(&manifest["kind"]);
    let name = text(&manifest["metadata"]["name"]);
    match manifest["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { url, ca: _, client: _ } => write!(f, "{url} answers"),
            Self::Socket(path) => write!(f, "{} accepts connections", path.display()),
            Self::NodeExists(node) => write!(f, "Node {node} exists"),
            Self::NodeReady(node) => write!(f, "Node {node} is Ready"),
            Self::RolledOut { kind, namespace, name } => write!(f, "{kind} {namespace}/{name} is rolled out"),
            Self::PodReady { namespace, name } => write!(f, "Pod {namespace}/{name} is Ready"),
            Self::CrdEstablished(name) => write!(f, "CustomResourceDefinition {name} is Established"),
            Self::SecretExists { namespace, name } => write!(f, "Secret {namespace}/{name} exists"),
        }
    }
}
