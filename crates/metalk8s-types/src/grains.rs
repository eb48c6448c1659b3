//! Facts that a node tells of itself.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// What a node knows of itself before anything was installed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grains {
    /// The host name, as the kernel has it.
    pub hostname: String,
    /// The operating system, from os-release(5).
    pub os: OperatingSystem,
    /// The kernel's release, as `uname -r`.
    pub kernel: String,
    /// Logical processors.
    pub cpus: u32,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// The control groups that the kubelet will find.
    pub cgroup: Cgroup,
    /// Whether systemd manages the control groups that containers may use (v2, or v1 delegated by it).
    pub systemd_cgroups: bool,
    /// Whether the machine itself is a container (systemd-detect-virt --container).
    pub container: bool,
    /// Whether swap is in use.
    pub swap: bool,
    /// Whether SELinux enforces.
    pub selinux_enforcing: bool,
    /// Whether the limits of connection tracking may be written.
    pub conntrack_writable: bool,
    /// Whether the score of the out-of-memory killer may go below zero.
    pub oom_score_adjustable: bool,
    /// Addresses of all interfaces but loopback, with their interface.
    pub addresses: Vec<Address>,
    /// Name servers of /etc/resolv.conf.
    pub nameservers: Vec<IpAddr>,
    /// Bytes in all of the file system below /var/lib, and how many are free.
    pub disk: Disk,
}

/// The operating system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatingSystem {
    /// `ID`, such as `debian`.
    pub id: String,
    /// `VERSION_ID`, such as `12` or `9.4`.
    pub version: String,
    /// `VERSION_CODENAME`, such as `bookworm`; empty where there is none.
    pub codename: String,
    /// `PRETTY_NAME`.
    pub pretty_name: String,
    /// Which package manager it has.
    pub family: OsFamily,
}

/// Families of operating systems, by package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OsFamily {
    /// apt and dpkg.
    Debian,
    /// dnf and rpm.
    RedHat,
    /// Anything else, which is not supported.
    Other,
}

/// Which control groups the kernel offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cgroup {
    /// The first hierarchy, or both.
    V1,
    /// The unified hierarchy.
    V2,
}

/// An address of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The interface, such as `eth0`.
    pub interface: String,
    /// The address with its prefix.
    pub network: IpNet,
}

/// Room on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Bytes in all.
    pub total_bytes: u64,
    /// Bytes that root may still use.
    pub free_bytes: u64,
}

impl Grains {
    /// The key of the packages for this host inside an archive, such as `debian/bookworm` or `redhat/9`.
    pub fn package_repository(&self) -> String {
        match self.os.family {
            OsFamily::RedHat => format!("redhat/{}", self.os.version.split('.').next().unwrap_or_default()),
            OsFamily::Debian | OsFamily::Other => format!("debian/{}", self.os.codename),
        }
    }

    /// The first of these ranges in which this node has an address, with all that it has there, sorted. A plane must
    /// have exactly one (BOOT-32).
    pub fn addresses_in(&self, ranges: &[IpNet]) -> Option<(IpNet, Vec<IpAddr>)> {
        let in_range = |range: &IpNet| {
            let addresses = self.addresses.iter().map(|address| address.network.addr());
            let mut found: Vec<IpAddr> = addresses.filter(|address| range.contains(address)).collect();
            found.sort();
            found.dedup();
            (!found.is_empty()).then_some((*range, found))
        };
        ranges.iter().find_map(in_range)
    }

    /// The address of this node in a plane, where it is in no doubt.
    pub fn address_in(&self, ranges: &[IpNet]) -> Option<IpAddr> {
        self.addresses_in(ranges).and_then(|(_, found)| <[IpAddr; 1]>::try_from(found).ok()).map(|[one]| one)
    }
}
