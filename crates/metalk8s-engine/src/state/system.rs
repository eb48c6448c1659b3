//! Packages, services and settings of a host.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

/// System packages installed by the host's own package manager, in one transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Packages {
    /// Package name to exact version; `None` accepts whatever version is installed or offered.
    pub packages: BTreeMap<String, Option<String>>,
    /// Whether the host's own updates are kept from moving them.
    pub hold: bool,
    /// Names of the only repositories that may be used ([`Repository::name`]); empty: all of the host's.
    pub only_from: Vec<String>,
}

/// A package repository known to the host's package manager.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repository {
    /// File name without its ending, such as `metalk8s-0.1.0`.
    pub name: String,
    /// Where it is, in the words of the host's package manager.
    pub source: RepositorySource,
    /// The key that signs it: an armoured OpenPGP public key on the host.
    pub key: PathBuf,
}

/// Where a package repository is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepositorySource {
    /// A Debian archive, as in sources.list(5).
    Apt {
        /// `file:///srv/...` or `https://...`.
        uri: String,
        /// The suite, such as `bookworm`.
        suite: String,
        /// Components, such as `main`.
        components: Vec<String>,
    },
    /// An RPM repository, as in dnf.conf(5).
    Dnf {
        /// `file:///srv/...` or `https://...`.
        base_url: String,
        /// The authority that must have signed the server's certificate; `None`: any that the host trusts.
        ca: Option<PathBuf>,
    },
}

/// A systemd unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Name with its ending, such as `kubelet.service`.
    pub name: String,
    /// Whether it runs; `None` leaves it.
    pub running: Option<bool>,
    /// Whether it starts at boot; `None` leaves it.
    pub enabled: Option<bool>,
    /// Masked units cannot be started at all; a masked unit does not run.
    pub masked: bool,
    /// Whether a host without this unit satisfies a wish that it does not run.
    pub may_be_missing: bool,
    /// Whether a watched change makes it reload instead of restart.
    pub reload: bool,
    /// Files that its program reads when it starts and never again: it is restarted where one is newer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<PathBuf>,
}

/// A kernel parameter, now and after a boot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sysctl {
    /// Such as `net.ipv4.ip_forward`.
    pub key: String,
    /// The value as the kernel prints it.
    pub value: String,
    /// The file below /etc/sysctl.d that keeps it.
    pub file: PathBuf,
    /// Whether a kernel that refuses writing (a container) is reported and not an error.
    pub may_be_read_only: bool,
}

/// A kernel module loaded now and at boot, or built in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelModule {
    /// Such as `br_netfilter`.
    pub name: String,
    /// The file below /etc/modules-load.d that keeps it.
    pub file: PathBuf,
    /// Whether a kernel without it is reported and not an error.
    pub optional: bool,
}

/// A file that is a block device by way of loop(4), until the host ends: nothing keeps it over a boot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoopDevice {
    /// The file.
    pub file: PathBuf,
    /// The bytes that a missing file gets, all of them a hole that takes no space. A file that is there is never
    /// written, and another size is an error (VOL-36). `None`: the file has to be there.
    pub size: Option<u64>,
}

/// A mounted file system, kept in /etc/fstab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mount {
    /// What is mounted: a device, or the file of an image.
    pub source: PathBuf,
    /// Where.
    pub target: PathBuf,
    /// The type, such as `iso9660`.
    pub fs_type: String,
    /// Options as in fstab(5), such as `ro`, `loop`, `nofail`.
    pub options: Vec<String>,
    /// Whether it is in /etc/fstab.
    pub persistent: bool,
    /// A file inside, by its relative path, and the text it has: what is mounted and lacks it is mounted anew,
    /// such as an image that was replaced by another under its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<(PathBuf, String)>,
}

/// Whether the host swaps, now and after a boot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Swap {
    /// `false` turns every swap space off and comments its line in /etc/fstab.
    pub enabled: bool,
}

/// A line of /etc/hosts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostsEntry {
    /// The address.
    pub address: std::net::IpAddr,
    /// The names it has, all of them.
    pub names: Vec<String>,
}

/// A user of the system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// The name.
    pub name: String,
    /// The number; `None` takes a free one.
    pub uid: Option<u32>,
    /// The name of the primary group.
    pub group: String,
    /// The home directory; it is not made.
    pub home: PathBuf,
    /// The shell.
    pub shell: PathBuf,
}

/// A group of the system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The name.
    pub name: String,
    /// The number; `None` takes a free one.
    pub gid: Option<u32>,
}

/// An opening in the host's firewall; a host without one satisfies it.
///
/// It is exact: a source that an earlier wish with the same name, protocol and port let in, and this one does not,
/// is shut out. What a person let in stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    /// What it is for, in the firewall's own list: ASCII letters, digits, spaces, and `-_.`.
    pub name: String,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The port.
    pub port: u16,
    /// The ranges that may use it; empty: everybody.
    pub sources: Vec<ipnet::IpNet>,
}

/// Packets that the host forwards from and to networks, such as those of pods, pass its firewall; a host without one
/// satisfies it.
///
/// It is exact: a network that an earlier wish with the same name let pass, and this one does not, is shut out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forwarding {
    /// What it is for, in the firewall's own list: lower-case ASCII letters, digits and `-`, at most 8 of them.
    pub name: String,
    /// The networks.
    pub networks: Vec<ipnet::IpNet>,
}

/// A program run when its conditions ask for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Program and arguments, without a shell.
    pub argv: Vec<String>,
    /// Not run where this path exists.
    pub creates: Option<PathBuf>,
    /// Not run where this program succeeds.
    pub unless: Option<Vec<String>>,
    /// Run only where this program succeeds.
    pub only_if: Option<Vec<String>>,
    /// Run only after a watched change.
    pub only_on_change: bool,
    /// Added to the environment.
    pub environment: BTreeMap<String, String>,
    /// The working directory.
    pub directory: Option<PathBuf>,
    /// Ended after so many seconds.
    pub timeout_seconds: u64,
}

impl Command {
    /// A program run whenever it is asked for, with an hour to end.
    pub fn new(argv: Vec<String>) -> Self {
        Self {
            argv,
            creates: None,
            unless: None,
            only_if: None,
            only_on_change: false,
            environment: BTreeMap::new(),
            directory: None,
            timeout_seconds: 3600,
        }
    }
}

impl Service {
    /// A unit that runs now and after every boot.
    pub fn running(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            running: Some(true),
            enabled: Some(true),
            masked: false,
            may_be_missing: false,
            reload: false,
            reads: Vec::new(),
        }
    }

    /// A unit that does not run and does not start at boot; a host without it is content.
    pub fn stopped(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            running: Some(false),
            enabled: Some(false),
            masked: false,
            may_be_missing: true,
            reload: false,
            reads: Vec::new(),
        }
    }
}
