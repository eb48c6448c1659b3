//! Repositories for Debian.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use metalk8s_artifacts::packages::{
    Package,
    apt::{self, AptPackage, COMPONENT, Suite},
    deb,
};

use super::{
    Origin, PackagesInput, PackagesReport, ShippedPackage,
    definition::{DebianHost, Definitions, Family},
    dependencies,
    key::SigningKey,
    write,
};

/// Builds `debian/<codename>` for every release.
pub(super) fn build(
    input: &PackagesInput<'_>,
    definitions: &Definitions,
    key: &SigningKey,
    root: &Path,
) -> Result<PackagesReport> {
    let packages = definitions.packages(Family::Debian, input.versions, &input.programs)?;
    let mut report = PackagesReport::default();
    for host in &definitions.hosts.debian {
        let name = format!("debian/{}", host.codename);
        let (shipped, warning) = repository(input, definitions, host, &packages, key, &root.join(&name))
            .with_context(|| format!("could not build the repository `{name}`"))?;
        report.warnings.extend(warning);
        let versions = shipped.iter().map(|package| (package.name.clone(), package.version.clone()));
        report.repositories.insert(name.clone(), versions.collect());
        report.shipped.extend(
            shipped
                .into_iter()
                .map(|package| ShippedPackage { path: format!("{name}/{}", package.path), ..package }),
        );
    }
    Ok(report)
}

/// One repository at `root`; gives its packages, with paths below it, and what people must see.
fn repository(
    input: &PackagesInput<'_>,
    definitions: &Definitions,
    host: &DebianHost,
    packages: &[Package],
    key: &SigningKey,
    root: &Path,
) -> Result<(Vec<ShippedPackage>, Option<String>)> {
    let pool = format!("pool/{COMPONENT}");
    fs::create_dir_all(root.join(&pool)).with_context(|| format!("could not make `{}`", root.display()))?;
    let mut index: Vec<AptPackage> = Vec::new();
    let mut shipped = Vec::new();
    for package in packages {
        let place = format!("{pool}/{}", deb::file_name(package));
        let written = deb::write(package, input.date(), &root.join(&place), &place)?;
        shipped.push(ShippedPackage {
            path: place,
            name: package.name.clone(),
            version: package.full_version(),
            size: written.size,
            sha256: written.sha256.clone(),
            origin: Origin::Ours,
            license: Some(package.license.clone()),
        });
        index.push(written);
    }
    let wanted = definitions.foreign_dependencies(host);
    let PackagesInput { definitions: folder, cache, when_gone, log, .. } = *input;
    let (fetched, warning) = dependencies::fetch(&host.codename, &wanted, folder, cache, when_gone, log)?;
    for fetched in fetched {
        let place = format!("{pool}/{}", fetched.file_name());
        let to = root.join(&place);
        fs::copy(&fetched.path, &to)
            .with_context(|| format!("could not copy `{}`", fetched.path.display()))?;
        shipped.push(ShippedPackage {
            path: place.clone(),
            name: fetched.deb.name,
            version: fetched.deb.version,
            size: fetched.size,
            sha256: fetched.deb.sha256.clone(),
            origin: Origin::Debian,
            license: None,
        });
        index.push(AptPackage {
            control: fetched.control,
            file_name: place,
            size: fetched.size,
            sha256: fetched.deb.sha256,
        });
    }
    let suite = Suite {
        codename: host.codename.clone(),
        version: input.versions.product.version.clone(),
        date: input.date(),
    };
    let (folder, release) = apt::write_indexes(root, &suite, &index)?;
    write(&folder.join("InRelease"), key.sign_inline(&release, input.date())?.as_bytes())?;
    write(&folder.join("Release.gpg"), key.sign_detached(&release, input.date())?.as_bytes())?;
    Ok((shipped, warning))
}
