//! What belongs into a backup, apart from what etcd holds (BAK-03, PKI-13).

use std::{
    ffi::OsStr,
    fs,
    io::{self, Read},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use metalk8s_artifacts::digest::sha256;
use metalk8s_types::paths;

use super::BackupError;

/// The largest file that is taken, in bytes: what people and programs write there is small.
const LIMIT: u64 = 64 << 20;
/// The most that a file has as attributes, and as the list of their names, in bytes (`linux/limits.h`).
const ATTRIBUTES_LIMIT: usize = 64 << 10;

/// A file, a folder or a symbolic link.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its path in the backup.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Permission bits.
    pub(super) mode: u32,
    pub(super) user: u32,
    pub(super) group: u32,
    /// In seconds since 1970.
    pub(super) modified: u64,
    /// Names and values of its extended attributes, such as its context for SELinux.
    pub(super) attributes: Vec<(String, Vec<u8>)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    Link(PathBuf),
    File { bytes: Vec<u8>, sha256: String },
}

impl Entry {
    /// The line of `sha256sum` about it, without its end; `None` where it is no file.
    pub(super) fn sum(&self) -> Option<String> {
        match &self.kind {
            Kind::File { sha256, .. } => Some(format!("{sha256}  {}", self.name)),
            Kind::Folder | Kind::Link(_) => None,
        }
    }
}

/// Reads all of it from the machine with this root, in the order of names; a folder comes before what is in it.
///
/// # Errors
/// When something cannot be read, or is too large.
pub(super) fn collect(root: &Path) -> Result<Vec<Entry>, BackupError> {
    let mut entries = Vec::new();
    for (path, name) in [(paths::CONFIG_DIR, "metalk8s"), (paths::KUBERNETES_PKI, "kubernetes/pki")] {
        let path = root.join(path.trim_start_matches('/'));
        if path.exists() {
            take(&path, name.to_owned(), &mut entries)?;
        }
    }
    Ok(entries)
}

/// The lines of `sha256sum` about what changes only when a person wants it. Certificates, and keys of servers and of
/// issuing authorities, are renewed by agents: a backup with former ones is as good, as roots sign others.
pub(super) fn lasting(sums: &str) -> Vec<&str> {
    let is_lasting = |line: &&str| line.split_once("  ").is_some_and(|(_, name)| !is_passing(name));
    sums.lines().filter(is_lasting).collect()
}

fn is_passing(name: &str) -> bool {
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    let (stem, extension) = file.split_once('.').unwrap_or((file, ""));
    let renewed = extension == "crt" || stem == "server" || stem.ends_with("issuing-ca");
    name == super::tarball::SNAPSHOT || (renewed && folder.split('/').any(|part| part == "pki"))
}

/// Whether it is in a backup. Keys and certificates of servers, and kubeconfigs, are made anew where one is restored.
fn belongs(name: &str, is_folder: bool) -> bool {
    let Some(name) = name.strip_prefix("kubernetes/pki/") else { return name != "metalk8s/agent.conf" };
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    let stem = file.split('.').next().unwrap_or(file);
    match is_folder {
        true => name == "etcd",
        false => matches!(folder, "" | "etcd") && (matches!(stem, "ca" | "sa") || stem.ends_with("-ca")),
    }
}

fn take(path: &Path, name: String, entries: &mut Vec<Entry>) -> Result<(), BackupError> {
    let failed = |source| BackupError::File { path: path.to_owned(), source };
    let metadata = path.symlink_metadata().map_err(failed)?;
    let kind = metadata.file_type();
    if !belongs(&name, kind.is_dir()) {
        return Ok(());
    }
    let content = if kind.is_dir() {
        Kind::Folder
    } else if kind.is_symlink() {
        Kind::Link(fs::read_link(path).map_err(failed)?)
    } else if kind.is_file() {
        let bytes = read(path).map_err(failed)?;
        Kind::File { sha256: sha256(&bytes), bytes }
    } else {
        // A socket or a device is no configuration.
        return Ok(());
    };
    entries.push(Entry {
        name: name.clone(),
        kind: content,
        mode: metadata.mode() & 0o7777,
        user: metadata.uid(),
        group: metadata.gid(),
        modified: u64::try_from(metadata.mtime()).unwrap_or_default(),
        attributes: attributes(path).map_err(failed)?,
    });
    if kind.is_dir() {
        let inside: io::Result<Vec<_>> = fs::read_dir(path)
            .map_err(failed)?
            .map(|entry| {
                let name = entry?.file_name();
                name.into_string().map_err(|name| {
                    io::Error::other(format!("the name `{}` is no UTF-8", name.to_string_lossy()))
                })
            })
            .collect();
        let mut inside = inside.map_err(failed)?;
        inside.sort_unstable();
        for entry in inside {
            take(&path.join(&entry), format!("{name}/{entry}"), entries)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path)?.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if read as u64 > LIMIT {
        return Err(io::Error::other(format!("it has more than {} MiB", LIMIT >> 20)));
    }
    Ok(bytes)
}

fn attributes(path: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut names = vec![0; ATTRIBUTES_LIMIT];
    let length = match rustix::fs::llistxattr(path, names.as_mut_slice()) {
        Err(rustix::io::Errno::NOTSUP) => return Ok(Vec::new()),
        length => length?,
    };
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let attributes = names.map(|name| {
        let mut value = vec![0; ATTRIBUTES_LIMIT];
        let length = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), value.as_mut_slice())?;
        value.truncate(length);
        Ok((String::from_utf8_lossy(name).into_owned(), value))
    });
    attributes.collect()
}

#[cfg(test)]
mod tests {
    use super::{belongs, lasting};

    #[test]
    fn what_agents_renew_makes_no_backup_older() {
        let sums = "\
            1  metalk8s/bootstrap.yaml\n2  metalk8s/crypt/apiserver.key\n3  metalk8s/pki/repositories/server.key\n\
            4  metalk8s/pki/repositories/ca.key\n5  metalk8s/pki/salt-bootstrap\n6  kubernetes/pki/ca.crt\n\
            7  kubernetes/pki/front-proxy-issuing-ca.key\n8  kubernetes/pki/sa.key\n9  etcd_snapshot\n";
        let numbers: String = lasting(sums).iter().filter_map(|line| line.chars().next()).collect();
        assert_eq!(numbers, "12458");
    }

    #[test]
    fn authorities_and_the_configuration_belong_to_it_and_what_is_made_anew_does_not() {
        for name in [
            "metalk8s/bootstrap.yaml",
            "metalk8s/crypt/apiserver.key",
            "metalk8s/pki/repositories/server.key",
            "kubernetes/pki/ca.key",
            "kubernetes/pki/front-proxy-issuing-ca.crt",
            "kubernetes/pki/etcd/ca.crt",
            "kubernetes/pki/sa.pub",
        ] {
            assert!(belongs(name, false), "{name}");
        }
        for name in [
            "metalk8s/agent.conf",
            "kubernetes/pki/apiserver.crt",
            "kubernetes/pki/kubelet.key",
            "kubernetes/pki/etcd/server.key",
            "kubernetes/pki/other/ca.key",
        ] {
            assert!(!belongs(name, false), "{name}");
        }
        assert!(belongs("kubernetes/pki", true) && belongs("kubernetes/pki/etcd", true));
        assert!(belongs("metalk8s/pki", true) && !belongs("kubernetes/pki/other", true));
    }
}
