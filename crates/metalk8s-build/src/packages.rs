//! System packages and their signed repositories, as the archive carries them.
//!
//! Begin at [`build`]: it reads the definitions in the folder `packages/` of the source tree, puts the programs
//! of the components into a `.deb` and a `.rpm` each, fetches the Debian packages that a minimal host may lack
//! ([`dependencies`]), and writes one repository per kind of host, signed with the key of [`key`].
//!
//! ```text
//! packages.asc                          the public key
//! versions.json                         repository to package to version
//! shipped.json                          every package file, for the bill of materials
//! packages/debian/<codename>/           dists/<codename>/{InRelease,Release,Release.gpg,main/...}  pool/main/
//! packages/redhat/<major>/              Packages/  repodata/{repomd.xml,repomd.xml.asc,...}
//! ```
//!
//! The same inputs give the same bytes; which of Debian's packages are taken stands in `packages/debian.lock`.

pub mod debian;
pub mod definition;
pub mod dependencies;
pub mod key;
pub mod redhat;
mod rpm;
mod scripts;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde::Serialize;

use self::{definition::Definitions, key::SigningKey};
use crate::{command::Log, debian::lock::WhenGone, versions::Versions};

/// The folder of the archive that holds the repositories.
pub const FOLDER: &str = "packages";
/// Name of the public key's file.
pub const KEY_FILE: &str = "packages.asc";
/// Name of [`PackagesReport::repositories`] as a file.
pub const VERSIONS_FILE: &str = "versions.json";
/// Name of [`PackagesReport::shipped`] as a file.
pub const SHIPPED_FILE: &str = "shipped.json";

/// Our signing keys claim to be from then, and no signature may be older than its key.
/// The start of 2025, in seconds since 1970.
pub const EARLIEST_DATE: u64 = 1_735_689_600;

/// Everything packages are made from.
#[derive(Debug)]
pub struct PackagesInput<'a> {
    /// The folder `packages/` of the source tree.
    pub definitions: &'a Path,
    /// The table of versions.
    pub versions: &'a Versions,
    /// Name of a program to where it was built. Beside those of the components: `metalk8s`, our own.
    pub programs: BTreeMap<String, PathBuf>,
    /// Folder of the signing key; the key is made there the first time.
    pub keys: &'a Path,
    /// Folder for what is fetched from Debian.
    pub cache: &'a Path,
    /// What to do where Debian's mirror no longer has what the lock names.
    pub when_gone: WhenGone,
    /// The time that everything carries, in seconds since 1970; [`EARLIEST_DATE`] at the earliest.
    pub epoch: u64,
    /// What is filled: missing, or empty.
    pub out: &'a Path,
    /// Where apt writes.
    pub log: &'a Log,
}

impl PackagesInput<'_> {
    fn date(&self) -> u64 {
        self.epoch.max(EARLIEST_DATE)
    }
}

/// Everything the repositories hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackagesReport {
    /// Repository below `packages/`, such as `debian/bookworm`, to package name to exact version.
    pub repositories: BTreeMap<String, BTreeMap<String, String>>,
    /// Every package file, sorted by its path.
    pub shipped: Vec<ShippedPackage>,
    /// What people must see.
    pub warnings: Vec<String>,
}

/// One package file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShippedPackage {
    /// Path below `packages/`.
    pub path: String,
    /// Name of the package.
    pub name: String,
    /// Exact version, as the package manager writes it.
    pub version: String,
    /// Bytes.
    pub size: u64,
    /// In hexadecimal.
    pub sha256: String,
    /// Who built it.
    pub origin: Origin,
    /// SPDX expression, for our own; Debian keeps its own inside the package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
}

/// Who built a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// This project.
    Ours,
    /// Debian; passed on unchanged.
    Debian,
}

/// Builds all packages and all repositories.
///
/// Needs `apt-get` and `apt-cache`, and the computer's Debian mirror unless the cache holds all that is needed.
pub fn build(input: &PackagesInput<'_>) -> Result<PackagesReport> {
    let out = input.out;
    fs::create_dir_all(out).with_context(|| format!("could not make `{}`", out.display()))?;
    let empty = fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
    ensure!(empty, "the folder for packages `{}` is not empty", out.display());
    let definitions = Definitions::read(input.definitions)?;
    let key = SigningKey::load_or_create(input.keys)?;

    // The work is compression, and there are as many families as small computers have cores.
    let root = out.join(FOLDER);
    let (debian, redhat) = thread::scope(|scope| {
        let debian = scope.spawn(|| debian::build(input, &definitions, &key, &root));
        let redhat = redhat::build(input, &definitions, &key, &root);
        (debian.join().unwrap_or_else(|_| Err(anyhow!("building Debian's packages panicked"))), redhat)
    });
    let mut report = PackagesReport::default();
    for part in [debian?, redhat?] {
        report.repositories.extend(part.repositories);
        report.shipped.extend(part.shipped);
        report.warnings.extend(part.warnings);
    }
    report.shipped.sort_by(|one, other| one.path.cmp(&other.path));

    write(&out.join(KEY_FILE), key.public_armored()?.as_bytes())?;
    write(&out.join(VERSIONS_FILE), &serde_json::to_vec_pretty(&report.repositories)?)?;
    write(&out.join(SHIPPED_FILE), &serde_json::to_vec_pretty(&report.shipped)?)?;
    Ok(report)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, bytes))
        .with_context(|| format!("could not write `{}`", path.display()))
}
