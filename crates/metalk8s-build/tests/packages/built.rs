//! Repositories to test, built anew for each test.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use metalk8s_build::{
    command::Log,
    context::cache_folder,
    debian::lock::WhenGone,
    packages::{self, EARLIEST_DATE, PackagesInput, PackagesReport},
    versions::Versions,
};
use tempfile::TempDir;
use walkdir::WalkDir;

/// Repositories whose programs are short scripts that print their names.
pub(crate) struct Built {
    pub(crate) folder: TempDir,
    pub(crate) report: PackagesReport,
    pub(crate) versions: Versions,
}

impl Built {
    pub(crate) fn new() -> Self {
        Self::try_new(|_| ()).unwrap()
    }

    pub(crate) fn try_new(change: impl FnOnce(&mut BTreeMap<String, PathBuf>)) -> anyhow::Result<Self> {
        let source = source_tree();
        let versions = Versions::read(&source).unwrap();
        let folder = temporary();
        let components = versions.components.values().flat_map(|row| row.programs.keys().cloned());
        let mut programs = BTreeMap::new();
        for name in components.chain(["metalk8s".to_owned()]) {
            let path = folder.path().join(format!("{name}.program"));
            // The name it is called by and its own, as programs of several names have.
            fs::write(&path, format!("#!/bin/sh\necho \"${{0##*/}} {name}\"\n")).unwrap();
            programs.insert(name, path);
        }
        change(&mut programs);
        let report = packages::build(&PackagesInput {
            definitions: &source.join("packages"),
            versions: &versions,
            programs,
            // Of one key for all tests: making it takes longer than all the rest.
            keys: &Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages-keys"),
            cache: &cache_folder().unwrap(),
            when_gone: WhenGone::TakeNewer,
            epoch: EARLIEST_DATE + 1,
            out: &folder.path().join("out"),
            log: &Log::create(folder.path(), "packages").unwrap(),
        })?;
        Ok(Self { folder, report, versions })
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// Name to exact version of our own packages in a repository.
    pub(crate) fn ours(&self, repository: &str) -> BTreeMap<String, String> {
        let ours = |name: &String| source_tree().join("packages").join(name).is_dir();
        let mut packages = self.report.repositories[repository].clone();
        packages.retain(|name, _| ours(name));
        packages
    }
}

pub(crate) fn source_tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// On the disk of the build, which programs may be started from.
pub(crate) fn temporary() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// All files below a folder, relative to it, sorted.
pub(crate) fn files(folder: impl AsRef<Path>) -> Vec<String> {
    let folder = folder.as_ref();
    let mut files: Vec<String> = WalkDir::new(folder)
        .into_iter()
        .map(|entry| entry.unwrap())
        .filter(|entry| !entry.file_type().is_dir())
        .map(|entry| entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    files
}

/// Changes one byte in the middle of a file.
pub(crate) fn flip_a_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Runs a command; gives all it printed, or all it printed as an error.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    let output = command.env("LC_ALL", "C.UTF-8").output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}
