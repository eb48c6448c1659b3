//! Files of a machine.

use anyhow::Result;

use super::Listing;
use crate::machine::{Machine, quoted};

/// No part of the machine's disk, or changing all the time by itself.
const PASSING: &[&str] = &[
    "/archives",
    "/dev",
    "/proc",
    "/run",
    "/sys",
    "/tmp",
    "/root/.kube/cache",
    // The lab's program for archives keeps a list of its mounts there.
    "/root/.mtab.fuseiso",
    // Debian keeps copies of dpkg's database there, made by a timer at midnight.
    "/var/backups",
    "/var/lib/containerd",
    "/var/lib/etcd",
    "/var/lib/kubelet",
    "/var/lib/cni",
    "/var/lib/calico",
    "/var/lib/systemd",
    "/var/lib/metalk8s/runs",
    // The agent looks at its node once an hour.
    "/var/lib/metalk8s/agent/drift.json",
    "/var/lib/metalk8s/metrics",
    "/var/log",
    "/var/tmp",
];

/// Made anew by each bootstrap: keys, certificates and what holds them, caches, and notes about a run.
const OWN_CONTENTS: &[&str] = &[
    "/etc/cni/net.d/calico-kubeconfig",
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/scheduler.conf",
    "/etc/kubernetes/pki/",
    "/etc/metalk8s/crypt/",
    "/etc/metalk8s/pki/",
    "/etc/kubernetes/encryption.conf",
    "/etc/metalk8s/agent.conf",
    "/etc/salt/",
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/ld.so.cache",
    "/var/cache/",
    "/var/lib/apt/",
    "/var/lib/dpkg/",
    "/var/lib/metalk8s/verified.json",
    "/var/lib/metalk8s/apt/",
];

/// Files of accounts, whose lines have no order.
const ACCOUNTS: &str = "/etc/(passwd|group|gshadow)";

pub(super) fn with_times(machine: &Machine) -> Result<Listing> {
    let text = machine.run_checked(&find("%p\\t%y %m %u:%g %s %T@ %l\\n"))?;
    // A folder's time says only that something in it came or went, which is seen by itself, or is left out.
    Ok(Listing::new(text.lines().filter_map(entry).map(|(path, told)| {
        let told =
            if told.starts_with("d ") { told.split(' ').take(3).collect::<Vec<_>>().join(" ") } else { told };
        (path, told)
    })))
}

pub(super) fn with_contents(machine: &Machine) -> Result<Listing> {
    let kinds = machine.run_checked(&find("%p\\t%y %m %u:%g %l\\n"))?;
    // A digest of a secret, in the manifest of a static pod, is as new as the secret; and users that were made at
    // the same time come in any order.
    let sums = machine.run_checked(&format!(
        "{} -type f -print0 | grep --null-data --invert-match --extended-regexp '^(/etc/kubernetes/manifests/|{ACCOUNTS}$)' \
             | xargs --null sha256sum; \
         told() {{ echo \"$(sha256sum | cut -d ' ' -f 1)  $1\"; }}; \
         for file in /etc/kubernetes/manifests/*; do sed --regexp-extended 's/[0-9a-f]{{64}}/DIGEST/g' $file | told $file; done; \
         for file in /etc/passwd /etc/group /etc/gshadow; do sort $file | told $file; done",
        walk()
    ))?;
    let mut listing =
        Listing::new(kinds.lines().filter_map(entry).map(|(path, told)| (without_time(path), told)));
    for line in sums.lines() {
        let Some((sum, path)) = line.split_once("  ") else { continue };
        if let Some(told) = listing.0.get_mut(path).filter(|_| !is_own(path)) {
            told.push_str(sum);
        }
    }
    // Backups of passwords and groups, and locks, depend on how often something was changed.
    listing.0.retain(|path, _| !is_trace(path));
    Ok(listing)
}

fn find(format: &str) -> String {
    format!("{} -printf {}", walk(), quoted(format))
}

fn walk() -> String {
    let passing: Vec<_> = PASSING.iter().map(|path| format!("-path {path}")).collect();
    format!("find / /var -xdev \\( {} \\) -prune -o", passing.join(" -o "))
}

fn entry(line: &str) -> Option<(String, String)> {
    line.split_once('\t').map(|(path, told)| (path.to_owned(), told.to_owned()))
}

/// A backup is called by the time when it was made.
fn without_time(path: String) -> String {
    const BACKUP: &str = "/var/lib/metalk8s/backup_";
    match path.starts_with(BACKUP) && path.ends_with(".tar.gz") {
        true => format!("{BACKUP}TIME.tar.gz"),
        false => path,
    }
}

fn is_own(path: &str) -> bool {
    OWN_CONTENTS.iter().any(|own| path == *own || (own.ends_with('/') && path.starts_with(own)))
}

fn is_trace(path: &str) -> bool {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    (folder == "/etc" && path.ends_with('-')) || path.ends_with("/lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_of_keys_are_not_compared_but_those_of_other_files_are() {
        assert!(is_own("/etc/kubernetes/pki/ca.key"));
        assert!(is_own("/etc/kubernetes/admin.conf"));
        assert!(!is_own("/etc/kubernetes/manifests/etcd.yaml"));
        assert!(!is_own("/etc/kubernetes/admin.conf.old"));
    }

    #[test]
    fn backups_are_compared_without_their_time() {
        let path = |name: &str| without_time(format!("/var/lib/metalk8s/{name}"));
        assert_eq!(path("backup_20261129_010203.tar.gz"), path("backup_20270101_000000.tar.gz"));
        assert_eq!(path(".backup.draft"), "/var/lib/metalk8s/.backup.draft");
    }

    #[test]
    fn backups_of_etc_are_traces_and_nothing_else_is() {
        assert!(is_trace("/etc/passwd-"));
        assert!(!is_trace("/etc/passwd"));
        assert!(!is_trace("/opt/passwd-"));
    }
}
