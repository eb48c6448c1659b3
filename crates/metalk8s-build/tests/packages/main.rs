//! Packages and repositories, built from stand-ins for the programs, and taken by the real package managers.
//!
//! Needs root, `apt`, `debootstrap`, `dnf`, `rpm` and `createrepo_c`. What is fetched from Debian is kept in the
//! cache of the build: with it, nothing here leaves the computer.

#![expect(clippy::unwrap_used, reason = "a test may stop at once")]

mod built;
mod computer;
mod debian;
mod redhat;
mod redhat_machine;

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::Path};

use built::Built;
use computer::{files, temporary};
use metalk8s_build::packages::key::SigningKey;

#[test]
fn two_builds_give_the_same_bytes() {
    let [one, other] = [Built::new(), Built::new()];
    let [names, others] = [files(one.out()), files(other.out())];
    assert_eq!(names, others);
    for name in names {
        let [one, other] = [&one, &other].map(|built| fs::read(built.out().join(&name)).unwrap());
        assert!(one == other, "`{name}` differs");
    }
}

#[test]
fn the_report_names_every_package_file_with_its_size_and_sum() {
    let built = Built::new();
    let packages = built.out().join("packages");
    let on_disk: BTreeSet<String> = files(&packages)
        .into_iter()
        .filter(|name| name.ends_with(".deb") || name.ends_with(".rpm"))
        .collect();
    let named: BTreeSet<String> = built.report.shipped.iter().map(|package| package.path.clone()).collect();
    assert_eq!(named, on_disk);
    for package in &built.report.shipped {
        let bytes = fs::read(packages.join(&package.path)).unwrap();
        assert_eq!(package.size, bytes.len() as u64, "{}", package.path);
        assert_eq!(package.sha256, metalk8s_artifacts::digest::sha256(&bytes), "{}", package.path);
    }
}

#[test]
fn versions_are_those_of_the_table() {
    let built = Built::new();
    for repository in ["debian/bookworm", "redhat/8", "redhat/9"] {
        let versions = &built.report.repositories[repository];
        for (package, component) in
            [("kubelet", "kubernetes"), ("runc", "runc"), ("containerd", "containerd")]
        {
            let row = &built.versions.components[component];
            assert!(versions[package].starts_with(&format!("{}-", row.version)), "{versions:?}");
        }
    }
}

#[test]
fn a_program_that_was_not_built_is_named() {
    let error = Built::try_new(|programs| drop(programs.remove("crictl"))).map(drop).unwrap_err();
    let chain = format!("{error:#}");
    assert_eq!(chain, "could not define the package `cri-tools`: there is no program `crictl`");
}

#[test]
fn a_signing_key_is_made_once_for_its_owner_only() {
    let folder = temporary();
    let keys = folder.path().join("keys");
    let public = || SigningKey::load_or_create(&keys).unwrap().public_armored().unwrap();
    assert_eq!(public(), public());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&keys), 0o700);
    assert_eq!(mode(&keys.join("packages.key")), 0o600);
    fs::write(keys.join("packages.key"), b"\x00\xff").unwrap();
    let error = SigningKey::load_or_create(&keys).map(drop).unwrap_err();
    assert!(error.to_string().starts_with("could not read the signing key"), "{error}");
}
