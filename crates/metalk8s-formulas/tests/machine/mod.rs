//! A machine that formulas are asked about.

use metalk8s_types::{
    Grains,
    grains::{Address, Cgroup, Disk, OperatingSystem, OsFamily},
};

/// Facts of a physical machine with one address.
pub(crate) fn grains(hostname: &str, address: &str) -> Grains {
    Grains {
        hostname: hostname.to_owned(),
        os: OperatingSystem {
            id: "debian".into(),
            version: "12".into(),
            codename: "bookworm".into(),
            pretty_name: "Debian GNU/Linux 12 (bookworm)".into(),
            family: OsFamily::Debian,
        },
        kernel: "6.1.0-30-amd64".into(),
        cpus: 4,
        memory_bytes: 8 << 30,
        cgroup: Cgroup::V2,
        systemd_cgroups: true,
        container: false,
        swap: false,
        selinux_enforcing: false,
        conntrack_writable: true,
        oom_score_adjustable: true,
        addresses: vec![Address { interface: "eth0".into(), network: address.parse().unwrap() }],
        nameservers: vec!["10.200.1.1".parse().unwrap()],
        disk: Disk { total_bytes: 100 << 30, free_bytes: 80 << 30 },
    }
}
