//! What is not to be there.

use std::{collections::BTreeSet, net::IpAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// Something of a host that is to be gone; files are [`super::Absent`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Removed {
    /// System packages, removed by the host's own package manager in one transaction.
    Packages {
        /// Their names.
        names: BTreeSet<String>,
        /// Whether their configuration goes too, where the package manager keeps it.
        purge: bool,
        /// Whether packages go too that were installed for these alone.
        #[serde(default)]
        unneeded: bool,
    },
    /// A user of the system.
    User {
        /// The name.
        name: String,
        /// Whether the home goes too.
        home: bool,
    },
    /// A group of the system.
    Group {
        /// The name.
        name: String,
    },
    /// A name in /etc/hosts.
    HostsName {
        /// The address it stands beside; `None` is any.
        address: Option<IpAddr>,
        /// The name.
        name: String,
    },
    /// A mounted file system.
    Mount {
        /// Where it is mounted.
        target: PathBuf,
        /// Whether its line of /etc/fstab goes too.
        forget: bool,
    },
    /// The loop devices of a file, which itself stays.
    LoopDevice {
        /// The file.
        file: PathBuf,
    },
    /// All containers of pods, with their processes. Whatever would start them anew does not run.
    Containers,
    /// Pods of static manifests that are called after another node than this one, as its name was changed. The
    /// kubelet is stopped for it, and does not run afterwards.
    FormerStaticPods {
        /// How the node is called now.
        node: String,
    },
    /// Pods of static manifests that run as their manifests were before. The kubelet replaces them; where it does
    /// not, since it has not reached an API server since its start, they are ended in its place.
    OutdatedStaticPods {
        /// How the node is called.
        node: String,
    },
    /// A network interface.
    Interface {
        /// The name.
        name: String,
    },
    /// Routes of one origin.
    Routes {
        /// Its number in rtnetlink(7).
        protocol: u8,
    },
    /// Rules of the kernel's packet filter, with the tables and sets that are empty without them.
    PacketRules {
        /// Names of tables that go with all that is in them, of whatever family.
        tables: BTreeSet<String>,
        /// What the names of chains and sets begin with that go from all other tables.
        chains: BTreeSet<String>,
        /// What the comments of rules begin with that go from chains that stay.
        comments: BTreeSet<String>,
    },
}

impl Removed {
    /// What it is about, without a verb.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Packages { names, purge: _, unneeded: _ } => {
                format!("packages {}", names.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
            }
            Self::User { name, home: _ } => format!("user {name}"),
            Self::Group { name } => format!("group {name}"),
            Self::HostsName { address: _, name } => format!("hosts name {name}"),
            Self::Mount { target, forget: _ } => format!("mount {}", target.display()),
            Self::LoopDevice { file } => format!("loop device of {}", file.display()),
            Self::Containers => "containers of pods".to_owned(),
            Self::FormerStaticPods { node } => format!("static pods of former names of {node}"),
            Self::OutdatedStaticPods { node } => format!("outdated static pods of {node}"),
            Self::Interface { name } => format!("interface {name}"),
            Self::Routes { protocol } => format!("routes of protocol {protocol}"),
            Self::PacketRules { .. } => "rules of the packet filter".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Removed;
    use crate::State;

    #[test]
    fn what_is_not_to_be_there_survives_being_stored() {
        for removed in [
            Removed::Packages { names: BTreeSet::from(["telnet".to_owned()]), purge: true, unneeded: true },
            Removed::User { name: "old".to_owned(), home: false },
            Removed::Group { name: "old".to_owned() },
            Removed::HostsName { address: None, name: "old.local".to_owned() },
            Removed::Mount { target: "/mnt".into(), forget: true },
            Removed::LoopDevice { file: "/srv/disk".into() },
            Removed::Containers,
            Removed::FormerStaticPods { node: "node-1".to_owned() },
            Removed::OutdatedStaticPods { node: "node-1".to_owned() },
            Removed::Interface { name: "vxlan.calico".to_owned() },
            Removed::Routes { protocol: 80 },
            Removed::PacketRules {
                tables: BTreeSet::from(["kube-proxy".to_owned()]),
                chains: BTreeSet::from(["cali-".to_owned()]),
                comments: BTreeSet::new(),
            },
        ] {
            let state = State::Removed(removed);
            let text = serde_json::to_string(&state).unwrap();
            assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state, "{text}");
        }
    }
}
