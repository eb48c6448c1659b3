//! Packages for Red Hat: `.rpm` files of format 4, signed in their header.

use std::{fs, path::Path};

use ::rpm::{
    BuildConfig, CompressionWithLevel, Dependency, DependencyFlags, FileOptions, Header, HeaderEntry,
    IndexData, IndexSignatureTag, PackageBuilder, PackageMetadata,
};
use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use metalk8s_artifacts::{
    digest::sha256,
    packages::{
        EntryKind, Package,
        dnf::{Capability, Comparison, DnfPackage, PackagedPath},
    },
};

use super::key::SigningKey;

const ARCHITECTURE: &str = "x86_64";

/// Level of zstd, which the rpm of EL 8 already reads: beyond it programs get little smaller.
const LEVEL: i32 = 12;

/// The usual file name of a package, such as `runc-1.5.2-1.x86_64.rpm`.
pub(super) fn file_name(package: &Package) -> String {
    format!("{}-{}.{ARCHITECTURE}.rpm", package.name, package.full_version())
}

/// Writes a package to `out`, with all times at `date` (seconds since 1970), and tells what the lists of a
/// repository say of it at the place `file_name`.
pub(super) fn write(
    package: &Package,
    date: u64,
    key: &SigningKey,
    out: &Path,
    file_name: &str,
) -> Result<DnfPackage> {
    let doing = || format!("could not write the package `{}`", out.display());
    let built = assemble(package, date).and_then(|builder| sign(builder, key, date)).with_context(doing)?;
    let mut bytes = Vec::new();
    built.write(&mut bytes).with_context(doing)?;
    fs::write(out, &bytes).with_context(doing)?;
    describe(package, &built.metadata, &bytes, date, file_name).with_context(doing)
}

fn assemble(package: &Package, date: u64) -> Result<PackageBuilder> {
    let config = BuildConfig::v4()
        .source_date(u32::try_from(date).context("the date is beyond what rpm can hold")?)
        .compression(CompressionWithLevel::Zstd(LEVEL))
        .reserved_space(None);
    let Package { name, version, release, summary, description, license, relations, entries, scripts } =
        package;
    let mut builder = PackageBuilder::new(name, version, license, ARCHITECTURE, summary);
    builder
        .using_config(config)
        .release(release)
        .description(description)
        .vendor("MetalK8s")
        .build_host("localhost");
    for entry in entries {
        let path = entry.path.as_str();
        match &entry.kind {
            EntryKind::Directory { mode } => {
                builder.with_dir_entry(FileOptions::dir(path).permissions(permissions(*mode)?))?
            }
            EntryKind::Link { target } => builder.with_symlink(FileOptions::symlink(path, target))?,
            EntryKind::File { source, mode, config } => {
                let contents =
                    source.read().with_context(|| format!("could not read the contents of `{path}`"))?;
                let options = FileOptions::new(path).permissions(permissions(*mode)?);
                let options = if *config { options.config().noreplace() } else { options };
                builder.with_file_contents(contents, options)?
            }
        };
    }
    for relation in &relations.depends {
        builder.requires(dependency(relation)?);
    }
    for relation in &relations.conflicts {
        builder.conflicts(dependency(relation)?);
    }
    for relation in &relations.provides {
        builder.provides(dependency(relation)?);
    }
    if !scripts.after_install.is_empty() {
        builder.post_install_script(scripts.after_install.as_str());
    }
    if !scripts.before_remove.is_empty() {
        builder.pre_uninstall_script(scripts.before_remove.as_str());
    }
    if !scripts.after_remove.is_empty() {
        builder.post_uninstall_script(scripts.after_remove.as_str());
    }
    Ok(builder)
}

/// Puts a signature over its header into a package.
///
/// The crate does so only together with algorithms that we do not use; without them it keeps no signature at all.
fn sign(mut builder: PackageBuilder, key: &SigningKey, date: u64) -> Result<::rpm::Package> {
    let mut built = builder.build()?;
    let signature = key.sign_header(&built.header_bytes()?, date)?;
    let region = IndexSignatureTag::HEADER_SIGNATURES;
    let mut entries: Vec<HeaderEntry> = built
        .metadata
        .signature
        .get_all_entries()?
        .into_iter()
        .filter(|(tag, _)| *tag != region as u32)
        .map(|(tag, data)| HeaderEntry::new(tag, data))
        .collect();
    // Twice: rpm 4 reads the first, later ones the second.
    let armoured = IndexData::StringArray(vec![BASE64.encode(&signature)]);
    entries.push(HeaderEntry::new(IndexSignatureTag::RPMSIGTAG_RSA as u32, IndexData::Bin(signature)));
    entries.push(HeaderEntry::new(IndexSignatureTag::RPMSIGTAG_OPENPGP as u32, armoured));
    built.metadata.signature = Header::from_entries(entries, region);
    Ok(built)
}

fn permissions(mode: u32) -> Result<u16> {
    u16::try_from(mode).with_context(|| format!("{mode:o} is no mode of a file"))
}

/// `name`, or `name <comparison> version`.
fn dependency(relation: &str) -> Result<Dependency> {
    let words: Vec<&str> = relation.split_whitespace().collect();
    Ok(match words.as_slice() {
        [name] => Dependency::any(*name),
        [name, "=", version] => Dependency::eq(*name, *version),
        [name, "<", version] => Dependency::less(*name, *version),
        [name, "<=", version] => Dependency::less_eq(*name, *version),
        [name, ">", version] => Dependency::greater(*name, *version),
        [name, ">=", version] => Dependency::greater_eq(*name, *version),
        _ => bail!("`{relation}` is not how RPM names another package"),
    })
}

fn describe(
    package: &Package,
    metadata: &PackageMetadata,
    bytes: &[u8],
    date: u64,
    file_name: &str,
) -> Result<DnfPackage> {
    let offsets = metadata.get_package_segment_offsets();
    let mut files: Vec<PackagedPath> = package
        .entries
        .iter()
        .map(|entry| PackagedPath {
            path: entry.path.clone(),
            directory: matches!(entry.kind, EntryKind::Directory { .. }),
        })
        .collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    let installed = metadata.get_installed_size()?;
    Ok(DnfPackage {
        file_name: file_name.to_owned(),
        size: bytes.len() as u64,
        sha256: sha256(bytes),
        header: offsets.header..offsets.payload,
        name: package.name.clone(),
        architecture: ARCHITECTURE.to_owned(),
        version: package.version.clone(),
        release: package.release.clone(),
        summary: package.summary.clone(),
        description: package.description.clone(),
        license: package.license.clone(),
        built: date,
        installed,
        archive: installed,
        provides: capabilities(metadata.get_provides()?),
        requires: capabilities(metadata.get_requires()?),
        conflicts: capabilities(metadata.get_conflicts()?),
        obsoletes: capabilities(metadata.get_obsoletes()?),
        files,
    })
}

fn capabilities(dependencies: Vec<Dependency>) -> Vec<Capability> {
    let mut all: Vec<Capability> = Vec::new();
    for dependency in dependencies {
        let Dependency { name, flags, version } = dependency;
        // What rpm itself must be able to do is asked of rpm, not of a repository.
        if flags.contains(DependencyFlags::RPMLIB) {
            continue;
        }
        let [less, greater, equal] =
            [DependencyFlags::LESS, DependencyFlags::GREATER, DependencyFlags::EQUAL]
                .map(|flag| flags.contains(flag));
        let comparison = match (less, greater, equal) {
            (true, _, true) => Some(Comparison::LessOrEqual),
            (true, _, false) => Some(Comparison::Less),
            (_, true, true) => Some(Comparison::GreaterOrEqual),
            (_, true, false) => Some(Comparison::Greater),
            (_, _, true) => Some(Comparison::Equal),
            _ => None,
        };
        let before = flags.intersects(DependencyFlags::SCRIPT_PRE | DependencyFlags::SCRIPT_POST);
        let capability =
            Capability { name, version: comparison.map(|comparison| (comparison, version)), before };
        if !all.contains(&capability) {
            all.push(capability);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_a_name_or_a_name_with_a_compared_version() {
        assert_eq!(dependency("socat").unwrap(), Dependency::any("socat"));
        assert_eq!(dependency("runc = 1.5.2-1").unwrap(), Dependency::eq("runc", "1.5.2-1"));
        assert_eq!(dependency("runc >= 1").unwrap(), Dependency::greater_eq("runc", "1"));
        for wrong in ["", "runc (= 1)", "runc 1", "runc = 1 2"] {
            assert!(dependency(wrong).is_err(), "{wrong:?}");
        }
    }
}
