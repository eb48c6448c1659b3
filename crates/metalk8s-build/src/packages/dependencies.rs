//! Debian's own packages that a minimal host may lack, fetched by apt from the computer's own mirror as the lock
//! says.
//!
//! For the lock, apt sees a system that has nothing installed: so it picks everything that is needed, and what a
//! minimal Debian has anyway (essential and required packages, apt, and what these need) is taken off again.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use metalk8s_artifacts::packages::apt::field;

use super::definition::{DebianHost, Definitions};
use crate::{
    command::{self, Log},
    debian::{
        Apt, Deb, RELEASE,
        lock::{self, Lock, Section, WhenGone},
    },
};

/// The lock, relative to the folder of the definitions: a section for each release.
pub const LOCK: &str = "debian.lock";

/// One package as it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fetched {
    pub(super) deb: Deb,
    /// Its control fields.
    pub(super) control: String,
    /// Bytes.
    pub(super) size: u64,
    /// Where it lies.
    pub(super) path: PathBuf,
}

impl Fetched {
    /// Its usual name, without the epoch that is no part of it.
    pub(super) fn file_name(&self) -> String {
        let version = &self.deb.version;
        let version = version.split_once(':').map_or(version.as_str(), |(_, rest)| rest);
        format!("{}_{version}_{}.deb", self.deb.name, self.deb.architecture)
    }
}

/// Fetches the packages of a Debian release that the lock names for `wanted`, sorted by name; beside them a
/// warning when the mirror no longer has these and newer ones were taken.
pub(super) fn fetch(
    codename: &str,
    wanted: &BTreeSet<String>,
    definitions: &Path,
    cache: &Path,
    when_gone: WhenGone,
    log: &Log,
) -> Result<(Vec<Fetched>, Option<String>)> {
    ensure!(codename == RELEASE, "packages of `{codename}` cannot be fetched, only those of `{RELEASE}`");
    let wanted: Vec<String> = wanted.iter().cloned().collect();
    let lock = Lock::read(&definitions.join(LOCK))?;
    let section = lock.section(codename, &wanted)?;
    let apt = Apt::open(cache)?;
    let taken = lock::take(&apt, section, |apt| beyond_minimal(apt, &wanted), when_gone, log)
        .with_context(|| format!("could not fetch packages of Debian `{codename}`"))?;
    let fetched = taken.debs.into_iter().map(|(deb, path)| describe(deb, path)).collect::<Result<_>>()?;
    Ok((fetched, taken.warning))
}

/// What the lock would hold with what the mirror has now.
pub fn resolve_all(apt: &Apt, definitions: &Path) -> Result<Lock> {
    let definitions = Definitions::read(definitions)?;
    let mut lock = Lock::default();
    for host in &definitions.hosts.debian {
        let DebianHost { codename, .. } = host;
        let asked: Vec<String> = definitions.foreign_dependencies(host).into_iter().collect();
        let debs = beyond_minimal(apt, &asked)?;
        lock.insert(codename, Section { asked, debs });
    }
    Ok(lock)
}

/// These packages and all they need beyond a minimal Debian, sorted by name.
fn beyond_minimal(apt: &Apt, wanted: &[String]) -> Result<Vec<Deb>> {
    let everywhere = |control: &&str| {
        field(control, "Essential") == Some("yes") || field(control, "Priority") == Some("required")
    };
    let mut names: Vec<String> = apt
        .index()?
        .split("\n\n")
        .filter(everywhere)
        .filter_map(|control| field(control, "Package"))
        .chain(["apt"])
        .map(str::to_owned)
        .collect();
    let minimal = apt.resolve(&names)?;
    names.extend(wanted.iter().cloned());
    let mut missing = apt.resolve(&names)?;
    missing.retain(|deb| !minimal.contains(deb));
    Ok(missing)
}

/// From the file alone: the mirror may know a newer one by now.
fn describe(deb: Deb, path: PathBuf) -> Result<Fetched> {
    let control = command::text(Command::new("dpkg-deb").arg("--field").arg(&path))?;
    let size = fs::metadata(&path).with_context(|| format!("could not read `{}`", path.display()))?.len();
    Ok(Fetched { deb, control, size, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_is_no_part_of_a_file_name() {
        let deb = Deb {
            name: "libip4tc2".to_owned(),
            version: "1:1.8.9-2".to_owned(),
            architecture: "amd64".to_owned(),
            sha256: String::new(),
        };
        let fetched = Fetched { deb, control: String::new(), size: 0, path: PathBuf::new() };
        assert_eq!(fetched.file_name(), "libip4tc2_1.8.9-2_amd64.deb");
    }
}
