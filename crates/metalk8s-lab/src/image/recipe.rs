//! What a bare machine is made of.

use sha2::{Digest, Sha256};

/// The Debian release of the machines.
pub const SUITE: &str = "bookworm";

/// What an administrator finds on a fresh server; neither containerd nor Kubernetes.
pub const PACKAGES: &[&str] = &[
    "ca-certificates",
    "conntrack",
    "curl",
    "dbus",
    "e2fsprogs",
    "ethtool",
    "fuseiso",
    "iproute2",
    "iptables",
    "kmod",
    "nftables",
    "openssh-client",
    "openssh-server",
    "procps",
    "socat",
    "sudo",
    "systemd",
    "systemd-sysv",
    "udev",
];

/// A file that is put into the root folder.
pub struct Addition {
    /// Where, without the leading slash.
    pub path: &'static str,
    /// Whether it can be run.
    pub is_program: bool,
    /// What is in it.
    pub contents: &'static str,
}

/// The files that make a folder of packages a machine of the lab.
pub const ADDITIONS: &[Addition] = &[
    program("usr/sbin/mount.iso9660", include_str!("../../machine/mount.iso9660")),
    program("usr/lib/metalk8s-lab/boot", include_str!("../../machine/boot")),
    program("usr/lib/metalk8s-lab/halt", include_str!("../../machine/halt")),
    plain("usr/lib/metalk8s-lab/outside.nft", include_str!("../../machine/outside.nft")),
    plain(
        "usr/lib/systemd/system/metalk8s-lab-boot.service",
        include_str!("../../machine/metalk8s-lab-boot.service"),
    ),
    plain("etc/systemd/system.conf.d/metalk8s-lab.conf", include_str!("../../machine/manager.conf")),
    plain("etc/systemd/journald.conf.d/metalk8s-lab.conf", include_str!("../../machine/journal.conf")),
    plain("etc/hosts", include_str!("../../machine/hosts")),
    plain("etc/resolv.conf", include_str!("../../machine/resolv.conf")),
];

/// The link that makes systemd start our unit, and where it leads.
pub const ENABLED: (&str, &str) = (
    "etc/systemd/system/sysinit.target.wants/metalk8s-lab-boot.service",
    "/usr/lib/systemd/system/metalk8s-lab-boot.service",
);

/// Run in the root folder once the packages are there.
pub const FINISH: &str = include_str!("../../machine/finish");

/// Names the root folder before the additions, which takes long to make.
pub fn packages_key() -> String {
    digest(&[&[SUITE, FINISH], PACKAGES].concat())
}

/// Names the image: another recipe gives another one.
pub fn key() -> String {
    let packages = packages_key();
    let mut parts = vec![packages.as_str(), ENABLED.0, ENABLED.1];
    for addition in ADDITIONS {
        parts.extend([addition.path, if addition.is_program { "x" } else { "" }, addition.contents]);
    }
    digest(&parts)
}

fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..8])
}

const fn program(path: &'static str, contents: &'static str) -> Addition {
    Addition { path, is_program: true, contents }
}

const fn plain(path: &'static str, contents: &'static str) -> Addition {
    Addition { path, is_program: false, contents }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_machine_has_no_part_of_kubernetes() {
        for package in PACKAGES {
            assert!(
                !["containerd", "kube", "runc", "cri-", "python"].iter().any(|part| package.contains(part))
            );
        }
    }

    #[test]
    fn packages_are_in_order_and_named_once() {
        assert!(PACKAGES.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn keys_are_short_and_tell_what_stands_where() {
        assert_eq!(key().len(), 16);
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
    }
}
