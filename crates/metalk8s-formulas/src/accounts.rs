//! Users of the host that static pods run as (NFR-12). A private file is for the one that reads it.

use metalk8s_engine::{
    Graph, State, StateId,
    state::{Contents, Directory, File, Group, Readers, User},
};
use metalk8s_types::paths;

use crate::etcd;

/// A user of the system with a group of its own, both with this number: it is the same on every node, since
/// manifests name it, and in the range that neither Debian, EL nor systemd hands out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    pub(crate) name: &'static str,
    pub(crate) id: u32,
    home: &'static str,
}

/// Owns the host.
pub(crate) const ROOT: Account = Account { name: "root", id: 0, home: "/root" };
/// Runs etcd.
pub(crate) const ETCD: Account = Account { name: "etcd", id: 60_602, home: etcd::DATA };
/// Runs our own servers.
pub(crate) const SERVER: Account = Account { name: "metalk8s", id: 60_603, home: paths::STATE_DIR };
/// Runs the API server.
pub(crate) const APISERVER: Account = without_home("kube-apiserver", 60_604);
/// Runs the controller manager.
pub(crate) const CONTROLLER_MANAGER: Account = without_home("kube-controller-manager", 60_605);
/// Runs the scheduler.
pub(crate) const SCHEDULER: Account = without_home("kube-scheduler", 60_606);

/// Names of all users that a node may get, each with its number, which is that of its group, too.
pub const ACCOUNTS: [(&str, u32); 5] = [
    (ETCD.name, ETCD.id),
    (SERVER.name, SERVER.id),
    (APISERVER.name, APISERVER.id),
    (CONTROLLER_MANAGER.name, CONTROLLER_MANAGER.id),
    (SCHEDULER.name, SCHEDULER.id),
];

const fn without_home(name: &'static str, id: u32) -> Account {
    Account { name, id, home: "/nonexistent" }
}

impl Account {
    /// A private file that it alone reads.
    pub(crate) fn alone(self) -> Readers {
        Readers::user(self.name)
    }

    /// A private file that the other one reads, too.
    pub(crate) fn together_with(self, other: Self) -> Readers {
        self.alone().and_group(other.name)
    }

    /// A directory that it alone enters.
    pub(crate) fn directory(self, path: &str) -> Directory {
        Directory {
            user: Some(self.name.to_owned()),
            group: Some(self.name.to_owned()),
            ..Directory::new(path, 0o700)
        }
    }

    /// A file of its own, with mode 0600.
    pub(crate) fn file(self, path: &str, contents: Contents) -> File {
        File {
            contents,
            user: Some(self.name.to_owned()),
            group: Some(self.name.to_owned()),
            ..File::text(path, "").mode(0o600)
        }
    }

    /// The user, after its group.
    pub(crate) fn add_to(self, graph: &mut Graph) -> StateId {
        let Self { name, id, home } = self;
        let group =
            graph.add(format!("group {name}"), State::Group(Group { name: name.to_owned(), gid: Some(id) }));
        let user = graph.add(
            format!("user {name}"),
            State::User(User {
                name: name.to_owned(),
                uid: Some(id),
                group: name.to_owned(),
                home: home.into(),
                shell: "/usr/sbin/nologin".into(),
            }),
        );
        graph.require(&user, &group);
        user
    }
}
