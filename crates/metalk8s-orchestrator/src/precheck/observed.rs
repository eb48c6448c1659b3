//! What is on the machine besides its grains.

mod cgroups;
mod listeners;
mod routes;
mod units;

use std::{collections::BTreeSet, net::IpAddr, path::PathBuf};

use ipnet::IpNet;
use jiff::Timestamp;
use metalk8s_artifacts::archive::read_product;
use metalk8s_types::{BootstrapConfiguration, Role};

/// Everything the checks ask for that no grain tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Whether this program runs as root.
    pub root: bool,
    /// Whether an earlier bootstrap of this machine went beyond the checks: what is ours may then be there.
    pub already_begun: bool,
    /// The version that is to be installed.
    pub version: String,
    /// The roles that the machine shall have.
    pub roles: BTreeSet<Role>,
    /// Ports that somebody listens on.
    pub listeners: Vec<Listener>,
    /// Units known for conflicts that are installed.
    pub units: Vec<Unit>,
    /// Users and groups of the machine's own files, each with its number.
    pub accounts: Vec<(String, u32)>,
    /// Whether systemd answers.
    pub systemd: bool,
    /// Routes of the main table, IPv4.
    pub routes: Vec<Route>,
    /// Controllers of control groups that the kernel offers.
    pub cgroup_controllers: Vec<String>,
    /// The time.
    pub now: Timestamp,
    /// Whether the clock follows others; `None` where nobody knows.
    pub time_synchronised: Option<bool>,
    /// The archives of the configuration, in its order.
    pub archives: Vec<ArchiveSeen>,
}

/// A TCP port that somebody listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The port.
    pub port: u16,
    /// The address, which may be the unspecified one.
    pub address: IpAddr,
    /// The name of the program, at most 15 characters; `None` where it cannot be found.
    pub process: Option<String>,
}

/// An installed unit of systemd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Such as `docker.service`.
    pub name: String,
    /// Whether it runs.
    pub active: bool,
}

/// A route of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The interface; `*` where packets are thrown away.
    pub interface: String,
    /// Where it leads.
    pub destination: IpNet,
}

/// An archive that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveSeen {
    /// Its path.
    pub path: PathBuf,
    /// Its version, or why it has none.
    pub version: Result<String, UnseenArchive>,
}

/// Why an archive has no version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnseenArchive {
    /// Nothing is there.
    Missing,
    /// It cannot be read, or is something else.
    Unusable(String),
}

impl Observed {
    /// Looks at this machine; changes nothing. What cannot be seen counts as not there.
    ///
    /// `already_begun` says whether an earlier run of the bootstrap went beyond the checks, which its journal
    /// tells; `version` is the one that is to be installed.
    pub async fn collect(
        configuration: &BootstrapConfiguration,
        version: &str,
        roles: BTreeSet<Role>,
        already_begun: bool,
    ) -> Self {
        let (units, systemd) = units::collect().await;
        Self {
            root: rustix::process::geteuid().is_root(),
            already_begun,
            version: version.to_owned(),
            roles,
            listeners: listeners::collect(),
            units,
            accounts: accounts(),
            systemd,
            routes: routes::collect(),
            cgroup_controllers: cgroups::collect(),
            now: Timestamp::now(),
            time_synchronised: units::time_synchronised().await,
            archives: configuration.archives.iter().map(|path| archive(path.clone())).collect(),
        }
    }
}

fn accounts() -> Vec<(String, u32)> {
    let files = ["/etc/passwd", "/etc/group"].map(|file| std::fs::read_to_string(file).unwrap_or_default());
    files.iter().flat_map(|text| super::accounts::parse(text)).collect()
}

fn archive(path: PathBuf) -> ArchiveSeen {
    let version = if path.exists() {
        read_product(&path).map(|product| product.version).map_err(|error| {
            let mut why = error.to_string();
            let mut next = std::error::Error::source(&error);
            while let Some(cause) = next {
                why = cause.to_string();
                next = cause.source();
            }
            UnseenArchive::Unusable(why)
        })
    } else {
        Err(UnseenArchive::Missing)
    };
    ArchiveSeen { path, version }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_archive_is_missing_or_unusable_or_has_a_version() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.iso");
        assert_eq!(archive(path.clone()).version, Err(UnseenArchive::Missing));
        fs::write(&path, "no ISO").unwrap();
        assert!(matches!(archive(path).version, Err(UnseenArchive::Unusable(why)) if !why.is_empty()));
    }

    #[tokio::test]
    async fn looking_at_this_machine_finds_a_port_that_was_just_opened() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let configuration = crate::precheck::testing::configuration();
        let observed = Observed::collect(&configuration, "1.0.0", [Role::Master].into(), false).await;
        let listener = observed.listeners.iter().find(|listener| listener.port == port).unwrap();
        assert!(listener.address.is_loopback());
        assert!(listener.process.is_some());
        assert!(observed.cgroup_controllers.iter().any(|name| name == "memory"));
        assert_eq!(observed.archives.len(), 1);
    }
}
