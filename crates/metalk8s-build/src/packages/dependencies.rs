//! Debian's own packages that a minimal host may lack, fetched by apt from the computer's own mirror.
//!
//! apt sees a system that has nothing installed: so it picks everything that is needed, and what a minimal Debian
//! has anyway (essential and required packages, apt, and what these need) is taken off again.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use metalk8s_artifacts::{digest::sha256, packages::apt::field};
use serde::{Deserialize, Serialize};

use crate::{
    command::Log,
    debian::{Apt, Deb, RELEASE},
};

/// Fields of Debian's index that tell of the file and not of the package, or refer to what we do not carry.
const FILE_FIELDS: [&str; 8] =
    ["Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512", "Description-md5", "Tag"];

/// One package as it was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fetched {
    pub(super) name: String,
    pub(super) version: String,
    /// Its control fields in Debian's index, without those that tell of the file.
    pub(super) control: String,
    /// Bytes.
    pub(super) size: u64,
    /// In hexadecimal, from Debian's signed index.
    pub(super) sha256: String,
    /// Where it lies.
    pub(super) path: PathBuf,
}

impl Fetched {
    /// Its usual name, without the epoch that is no part of it.
    pub(super) fn file_name(&self) -> String {
        let version = self.version.split_once(':').map_or(self.version.as_str(), |(_, rest)| rest);
        let architecture = field(&self.control, "Architecture").unwrap_or("all");
        format!("{}_{version}_{architecture}.deb", self.name)
    }
}

/// Fetches packages of a Debian release and all they need beyond a minimal Debian, sorted by name.
///
/// Asks no mirror when the folder `cache` has the answer for the same list, with every file unchanged.
pub(super) fn fetch(
    codename: &str,
    wanted: &BTreeSet<String>,
    cache: &Path,
    log: &Log,
) -> Result<Vec<Fetched>> {
    ensure!(codename == RELEASE, "packages of `{codename}` cannot be fetched, only those of `{RELEASE}`");
    let list: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let asked = sha256(list.join("\n").as_bytes());
    let folder = cache.join("packages");
    let index = folder.join(format!("debian-{codename}-{}.json", &asked[..16]));
    // Two builds at once would meet in apt's folder.
    let _lock = fs::create_dir_all(&folder)
        .and_then(|()| fs::File::create(folder.join(".lock")))
        .and_then(|file| file.lock().map(|()| file))
        .with_context(|| format!("could not lock `{}`", folder.display()))?;
    if let Some(known) = cached(&index) {
        return Ok(known);
    }
    let apt = Apt::open(&folder)?;
    apt.update(log)?;
    let fetched = fetch_beyond_minimal(&apt, &list, log)
        .with_context(|| format!("could not fetch packages of Debian `{codename}`"))?;
    fs::write(&index, serde_json::to_vec_pretty(&fetched)?)
        .with_context(|| format!("could not write `{}`", index.display()))?;
    Ok(fetched)
}

/// What an earlier run fetched, when nothing of it is missing or spoiled.
fn cached(index: &Path) -> Option<Vec<Fetched>> {
    let known: Vec<Fetched> = serde_json::from_slice(&fs::read(index).ok()?).ok()?;
    let whole =
        |package: &Fetched| fs::read(&package.path).is_ok_and(|bytes| sha256(&bytes) == package.sha256);
    known.iter().all(whole).then_some(known)
}

fn fetch_beyond_minimal(apt: &Apt, wanted: &[&str], log: &Log) -> Result<Vec<Fetched>> {
    let index = apt.index()?;
    let everywhere = |control: &&str| {
        field(control, "Essential") == Some("yes") || field(control, "Priority") == Some("required")
    };
    let mut names: Vec<String> = index
        .split("\n\n")
        .filter(everywhere)
        .filter_map(|control| field(control, "Package"))
        .chain(["apt"])
        .map(str::to_owned)
        .collect();
    let minimal = apt.resolve(&names)?;
    names.extend(wanted.iter().map(|name| (*name).to_owned()));
    let mut missing = apt.resolve(&names)?;
    missing.retain(|deb| !minimal.contains(deb));
    apt.prefetch(&missing, log)?;
    let controls: HashMap<_, _> = index
        .split("\n\n")
        .filter_map(|control| Some(((field(control, "Package")?, field(control, "Version")?), control)))
        .collect();
    missing
        .into_iter()
        .map(|deb| {
            let control = controls.get(&(deb.name.as_str(), deb.version.as_str())).copied();
            let control = control.with_context(|| format!("Debian's index lacks `{}`", deb.file_name()))?;
            fetch_one(apt, deb, control, log)
        })
        .collect()
}

fn fetch_one(apt: &Apt, deb: Deb, control: &str, log: &Log) -> Result<Fetched> {
    let path =
        apt.fetch(&deb, log)?.with_context(|| format!("the mirror no longer has `{}`", deb.file_name()))?;
    let size = fs::metadata(&path).with_context(|| format!("could not read `{}`", path.display()))?;
    Ok(Fetched {
        name: deb.name,
        version: deb.version,
        control: without_file_fields(control),
        size: size.len(),
        sha256: deb.sha256,
        path,
    })
}

fn without_file_fields(control: &str) -> String {
    let mut text = String::new();
    let mut dropping = false;
    for line in control.lines().filter(|line| !line.is_empty()) {
        if !line.starts_with([' ', '\t']) {
            let name = line.split(':').next().unwrap_or_default();
            dropping = FILE_FIELDS.contains(&name);
        }
        if !dropping {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_file_are_dropped_with_their_further_lines() {
        let control = "Package: socat\nTag: a,\n b\nVersion: 1\nFilename: pool/x\nSize: 3\n";
        assert_eq!(without_file_fields(control), "Package: socat\nVersion: 1\n");
    }

    #[test]
    fn the_epoch_is_no_part_of_a_file_name() {
        let fetched = Fetched {
            name: "libip4tc2".to_owned(),
            version: "1:1.8.9-2".to_owned(),
            control: "Architecture: amd64\n".to_owned(),
            size: 0,
            sha256: String::new(),
            path: PathBuf::new(),
        };
        assert_eq!(fetched.file_name(), "libip4tc2_1.8.9-2_amd64.deb");
    }
}
