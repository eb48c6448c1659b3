//! Repositories to test, built anew for each test.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use metalk8s_build::{
    command::Log,
    context::cache_folder,
    debian::lock::WhenGone,
    packages::{self, EARLIEST_DATE, PackagesInput, PackagesReport},
    versions::Versions,
};
use tempfile::TempDir;

use crate::computer::{source_tree, temporary};

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
