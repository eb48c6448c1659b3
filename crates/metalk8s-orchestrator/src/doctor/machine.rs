//! How a machine stands, as its agent tells: the answer to `metalk8s.health`.

use std::{collections::BTreeSet, net::IpAddr, path::Path, path::PathBuf};

use jiff::Timestamp;
use metalk8s_engine::{
    Hands, State, StateError,
    state::{Condition, Service, Wait},
};
use metalk8s_host::Host;
use rustix::fs::{stat, statvfs};
use serde::{Deserialize, Serialize};

/// Folders that matter: what runs full there stops the node.
const FOLDERS: [&str; 7] = [
    "/",
    "/etc",
    "/var/lib/containerd",
    "/var/lib/etcd",
    "/var/lib/kubelet",
    "/var/lib/metalk8s",
    "/var/log",
];
/// Units without which a node is none.
const UNITS: [&str; 3] = ["containerd.service", "kubelet.service", "metalk8s-agent.service"];
/// Where the kubelet says on its own machine that it is well.
const KUBELET: &str = "http://127.0.0.1:10248/healthz";

/// How a machine stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MachineHealth {
    /// What its clock says.
    pub now: Timestamp,
    /// Addresses of all interfaces but loopback.
    pub addresses: BTreeSet<IpAddr>,
    /// Folders that matter, one for each file system.
    pub folders: Vec<Folder>,
    /// Units without which a node is none.
    pub units: Vec<UnitHealth>,
    /// Whether the kubelet says that it is well.
    pub kubelet_is_well: bool,
}

/// A folder, as the file system that it is on tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    /// Which.
    pub path: PathBuf,
    /// Bytes in all, without those kept back for root.
    pub bytes: u64,
    /// Bytes that programs without privileges may still write.
    pub free_bytes: u64,
    /// Inodes in all; 0 where the file system does not count them.
    pub inodes: u64,
    /// Inodes that are free.
    pub free_inodes: u64,
}

/// A unit of systemd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitHealth {
    /// Its name.
    pub name: String,
    /// Whether it runs.
    pub runs: bool,
}

impl MachineHealth {
    /// That of the machine this program runs on.
    ///
    /// # Errors
    /// When systemd or the kernel does not tell.
    pub async fn of(host: &Host) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let grains = host.collect_grains()?;
        let mut units = Vec::new();
        for name in UNITS {
            let wish = Service { enabled: None, ..Service::running(name) };
            units.push(UnitHealth { name: name.to_owned(), runs: holds(host, State::Service(wish)).await? });
        }
        let healthy = Condition::Http { url: KUBELET.to_owned(), ca: None, client: None };
        let kubelet_is_well = holds(host, State::Wait(Wait { until: healthy, deadline_seconds: 1 })).await?;
        Ok(Self {
            now: Timestamp::now(),
            addresses: grains.addresses.iter().map(|address| address.network.addr()).collect(),
            folders: folders(),
            units,
            kubelet_is_well,
        })
    }
}

async fn holds(host: &Host, state: State) -> Result<bool, StateError> {
    Ok(host.check(&state).await?.is_none())
}

/// The first folder on each file system.
fn folders() -> Vec<Folder> {
    let mut devices = BTreeSet::new();
    let mut found = Vec::new();
    for path in FOLDERS.map(Path::new) {
        let (Ok(stat), Ok(room)) = (stat(path), statvfs(path)) else { continue };
        if devices.insert(stat.st_dev) {
            found.push(Folder {
                path: path.to_owned(),
                // As df(1) counts: what is kept back for root is neither used nor free.
                bytes: (room.f_blocks - room.f_bfree + room.f_bavail).saturating_mul(room.f_frsize),
                free_bytes: room.f_bavail.saturating_mul(room.f_frsize),
                inodes: room.f_files - room.f_ffree + room.f_favail,
                free_inodes: room.f_favail,
            });
        }
    }
    found
}
