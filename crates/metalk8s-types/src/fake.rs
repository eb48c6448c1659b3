//! A machine for tests, which everybody who is asked about facts can begin with.

use crate::{
    Grains,
    grains::{Address, Cgroup, Disk, OperatingSystem, OsFamily},
};

/// Facts of a physical machine with Debian 12, 8 processors, 16 GiB of memory, 100 GB of disk and one interface,
/// `eth0`, for each of these networks, such as `10.200.1.2/28`; the second one is `eth1`.
///
/// # Panics
/// When a network is none.
pub fn grains(hostname: &str, networks: &[&str]) -> Grains {
    let named = |(number, network): (usize, &&str)| address(&format!("eth{number}"), network);
    Grains {
        hostname: hostname.to_owned(),
        os: OperatingSystem {
            id: "debian".to_owned(),
            version: "12".to_owned(),
            codename: "bookworm".to_owned(),
            pretty_name: "Debian GNU/Linux 12 (bookworm)".to_owned(),
            family: OsFamily::Debian,
        },
        kernel: "6.1.0-30-amd64".to_owned(),
        cpus: 8,
        memory_bytes: 16 << 30,
        cgroup: Cgroup::V2,
        systemd_cgroups: true,
        container: false,
        swap: false,
        selinux_enforcing: false,
        conntrack_writable: true,
        oom_score_adjustable: true,
        addresses: networks.iter().enumerate().map(named).collect(),
        nameservers: vec![[10, 200, 1, 1].into()],
        disk: Disk { total_bytes: 100_000_000_000, free_bytes: 80_000_000_000 },
    }
}

/// An address of an interface, with the length of its network's prefix.
///
/// # Panics
/// When it is none.
pub fn address(interface: &str, network: &str) -> Address {
    let network = network.parse().unwrap_or_else(|_| panic!("`{network}` is no address with a prefix"));
    Address { interface: interface.to_owned(), network }
}
