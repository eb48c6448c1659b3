//! The packages of the archive that was built, taken by dnf from the archive's own repositories.
//!
//! Run by `cargo test --workspace --features metalk8s-build/built-archive --test archive_packages`, after the build
//! chain has built the archive. Needs root, `dnf`, `rpm`, `createrepo_c` and `dpkg-deb`.

#![expect(clippy::unwrap_used, reason = "a test may stop at once")]

#[path = "packages/computer.rs"]
mod computer;
#[path = "packages/redhat_machine.rs"]
mod redhat_machine;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use computer::{run, source_tree, temporary};
use metalk8s_artifacts::{
    manifest::{MANIFEST, Manifest},
    packages::{Entry, EntryKind},
};
use metalk8s_build::{
    context::Context,
    packages::{
        FOLDER,
        definition::{Definitions, Family, FileDefinition, OURS},
        key::SigningKey,
    },
    versions::Versions,
};
use redhat_machine::{BAD_SIGNATURE, Machine, dnf_refuses_one_changed_byte};

const HOW_TO_BUILD: &str = "These tests need the archive: build it with `./doit.sh iso`, or name a folder with its \
                            files in METALK8S_TEST_ARCHIVE";

/// The files of the archive, and what this checkout says should be among them.
struct Archive {
    root: PathBuf,
    manifest: Manifest,
    definitions: Definitions,
    versions: Versions,
}

impl Archive {
    /// In the folder that is named, or where the build chain puts it.
    fn find() -> Self {
        let context = Context::find(&source_tree()).unwrap();
        let root = env::var_os("METALK8S_TEST_ARCHIVE").map_or_else(|| context.iso_root(), PathBuf::from);
        let manifest = root.join(MANIFEST);
        assert!(manifest.is_file(), "`{}` is no archive. {HOW_TO_BUILD}", root.display());
        Self {
            manifest: Manifest::parse(&fs::read(manifest).unwrap()).unwrap(),
            root: root.canonicalize().unwrap(),
            definitions: Definitions::read(&source_tree().join("packages")).unwrap(),
            versions: context.versions,
        }
    }

    /// The folder of a repository, such as `redhat/9`.
    fn repository(&self, name: &str) -> PathBuf {
        self.root.join(FOLDER).join(name)
    }

    /// The public key that repositories and packages are signed with.
    fn key(&self) -> PathBuf {
        self.root.join("keys/packages.asc")
    }

    /// Repositories for Red Hat; the first one holds the packages.
    fn redhat(&self) -> Vec<String> {
        self.definitions.hosts.redhat.iter().map(|host| format!("redhat/{}", host.major)).collect()
    }

    /// Name to exact version of our packages, from their definitions and the table of versions.
    fn ours(&self) -> BTreeMap<String, String> {
        let packages = self.definitions.packages.iter();
        packages
            .map(|(name, definition)| {
                let version = if definition.component == OURS {
                    &self.versions.product.version
                } else {
                    &self.versions.components[&definition.component].version
                };
                (name.clone(), format!("{version}-{}", definition.release))
            })
            .collect()
    }

    /// Unpacks our packages for Debian into a folder; gives each program and where it lies there.
    fn debian_programs(&self, folder: &Path) -> BTreeMap<String, PathBuf> {
        let codename = &self.definitions.hosts.debian[0].codename;
        let pool = self.repository(&format!("debian/{codename}")).join("pool/main");
        for (name, version) in self.ours() {
            let package = pool.join(format!("{name}_{version}_amd64.deb"));
            run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(folder)).unwrap();
        }
        let files = self.definitions.packages.values().flat_map(|definition| &definition.files);
        files
            .filter_map(|file| {
                let FileDefinition::Program { program, path } = file else { return None };
                Some((program.clone(), below(folder, path)))
            })
            .collect()
    }
}

/// Where an absolute path lies that is seen from a root folder.
fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn assert_installed(root: &Path, entry: &Entry) {
    let path = below(root, &entry.path);
    let found = fs::symlink_metadata(&path).unwrap_or_else(|err| panic!("`{}`: {err}", entry.path));
    let mode = found.permissions().mode() & 0o7777;
    match &entry.kind {
        EntryKind::Directory { mode: wanted } => {
            assert!(found.is_dir() && mode == *wanted, "`{}` has the mode {mode:o}", entry.path);
        }
        EntryKind::File { source, mode: wanted, config: _ } => {
            assert!(found.is_file() && mode == *wanted, "`{}` has the mode {mode:o}", entry.path);
            assert!(fs::read(&path).unwrap() == source.read().unwrap(), "`{}` differs", entry.path);
        }
        EntryKind::Link { target } => {
            assert_eq!(fs::read_link(&path).unwrap(), Path::new(target), "`{}`", entry.path);
        }
    }
}

#[test]
fn dnf_installs_all_packages_of_the_archive_and_removal_leaves_nothing() {
    let archive = Archive::find();
    let ours = archive.ours();
    let debian = temporary();
    let programs = archive.debian_programs(debian.path());
    for path in programs.values() {
        assert!(fs::read(path).unwrap().starts_with(b"\x7fELF"), "`{}` is no program", path.display());
    }
    // With the programs of the packages for Debian: both families have the same bytes.
    let packages = archive.definitions.packages(Family::Redhat, &archive.versions, &programs).unwrap();
    let entries: Vec<&Entry> = packages.iter().flat_map(|package| &package.entries).collect();
    let not_folders = entries.iter().filter(|entry| !matches!(entry.kind, EntryKind::Directory { .. }));
    let expected: BTreeSet<String> =
        not_folders.map(|entry| entry.path.trim_start_matches('/').to_owned()).collect();

    for name in archive.redhat() {
        // What nodes ask for.
        assert_eq!(archive.manifest.packages[&name], ours, "{name}");
        let machine = Machine::new(&archive.repository(&name), &archive.key());
        machine.install_and_remove(&ours, |added| {
            assert_eq!(*added, expected, "{name}");
            for entry in &entries {
                assert_installed(&machine.root(), entry);
            }
        });
    }
}

#[test]
fn dnf_refuses_a_copy_of_the_archive_with_one_byte_changed() {
    let archive = Archive::find();
    let copy = temporary();
    let first = &archive.redhat()[0];
    run(Command::new("cp").arg("-a").arg(archive.repository(first).join(".")).arg(copy.path())).unwrap();
    dnf_refuses_one_changed_byte(copy.path(), &archive.key(), &archive.ours()["runc"]);
}

#[test]
fn dnf_refuses_the_archive_with_the_key_of_another_build() {
    let archive = Archive::find();
    let folder = temporary();
    let key = folder.path().join("other.asc");
    let other = SigningKey::load_or_create(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages-keys"));
    fs::write(&key, other.unwrap().public_armored().unwrap()).unwrap();
    for name in archive.redhat() {
        let said = Machine::new(&archive.repository(&name), &key).dnf("install", &["runc"]).unwrap_err();
        assert!(said.contains("metalk8s") && said.contains(BAD_SIGNATURE), "{said}");
    }
}
