//! Repositories for Red Hat Enterprise Linux and what is compatible with it.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use metalk8s_artifacts::packages::dnf;

use super::{
    Origin, PackagesInput, PackagesReport, ShippedPackage,
    definition::{Definitions, Family, RedhatHost},
    key::SigningKey,
    rpm, write,
};

/// Below a repository.
const FOLDER: &str = "Packages";

/// Builds `redhat/<major>` for every release.
///
/// The files are the same for all of them and would double the archive: they lie in the repository of the first
/// release of the list, and the lists of the others lead there.
pub(super) fn build(
    input: &PackagesInput<'_>,
    definitions: &Definitions,
    key: &SigningKey,
    root: &Path,
) -> Result<PackagesReport> {
    let packages = definitions.packages(Family::Redhat, input.versions, &input.programs)?;
    let hosts = &definitions.hosts.redhat;
    let mut report = PackagesReport::default();
    let Some(first) = hosts.first() else {
        return Ok(report);
    };
    let folder = root.join(repository(first)).join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("could not make `{}`", folder.display()))?;
    let mut described = Vec::new();
    for package in &packages {
        let name = rpm::file_name(package);
        let place = format!("{FOLDER}/{name}");
        let written = rpm::write(package, input.date(), key, &folder.join(&name), &place)?;
        report.shipped.push(ShippedPackage {
            path: format!("{}/{place}", repository(first)),
            name: package.name.clone(),
            version: package.full_version(),
            size: written.size,
            sha256: written.sha256.clone(),
            origin: Origin::Ours,
            license: Some(package.license.clone()),
        });
        described.push(written);
    }
    let versions: BTreeMap<String, String> =
        packages.iter().map(|package| (package.name.clone(), package.full_version())).collect();
    for host in hosts {
        let name = repository(host);
        let mut listed = described.clone();
        if host.major != first.major {
            for package in &mut listed {
                package.file_name = format!("../{}/{}", first.major, package.file_name);
            }
        }
        let (repodata, text) = dnf::write_repodata(&root.join(&name), input.date(), &listed)?;
        let signature = key.sign_detached(&text, input.date())?;
        write(&repodata.join("repomd.xml.asc"), signature.as_bytes())?;
        report.repositories.insert(name, versions.clone());
    }
    Ok(report)
}

/// Where the repository of a release lies.
fn repository(host: &RedhatHost) -> String {
    format!("redhat/{}", host.major)
}
