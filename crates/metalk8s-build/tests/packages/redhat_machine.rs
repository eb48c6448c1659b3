//! An empty root folder that dnf fills from one of our repositories, every signature checked.
//!
//! What our packages need of the distribution is played by one package of the test's own: none of a real one can
//! be had here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use metalk8s_build::packages::definition::Definitions;
use rpm::{Dependency, FileOptions, PackageBuilder};
use tempfile::TempDir;

use crate::computer::{files, flip_a_byte, run, source_tree, temporary};

/// What dnf says of a list that is not signed with the key it was given.
pub(crate) const BAD_SIGNATURE: &str = "repomd.xml GPG signature verification error";

/// The shell that scripts of packages run with, and what it needs.
const SHELL: [(&str, &str); 3] = [
    ("/bin/dash", "/bin/sh"),
    ("/lib64/ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2"),
    ("/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6"),
];
const SYSTEMCTL: &str = "#!/bin/sh\necho \"$@\" >> /systemctl.told\n";
/// What systemctl was told, and what rpm and dnf keep for themselves.
const KEPT: [&str; 3] = ["systemctl.told", "usr/lib/sysimage/", "var/"];

/// An empty root folder, and a dnf that knows one of our repositories.
pub(crate) struct Machine {
    folder: TempDir,
}

impl Machine {
    /// Both absolute: the folder of the repository, and the public key that it has to be signed with.
    pub(crate) fn new(repository: &Path, key: &Path) -> Self {
        let folder = temporary();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("root/run/systemd/system")).unwrap();
        fs::create_dir(path("distribution")).unwrap();
        distribution().write_file(path("distribution/distribution-1-1.x86_64.rpm")).unwrap();
        run(Command::new("createrepo_c").args(["--quiet", "--no-database"]).arg(path("distribution")))
            .unwrap();
        let at = |name: &str| path(name).display().to_string();
        let configuration = format!(
            "[main]\nreposdir=/nonexistent\nvarsdir=/nonexistent\npluginpath=/nonexistent\n\
             cachedir={}\npersistdir={}\nlogdir={}\n\
             [distribution]\nname=distribution\nbaseurl=file://{}\ngpgcheck=0\n\
             [metalk8s]\nname=metalk8s\nbaseurl=file://{}\n\
             gpgcheck=1\nrepo_gpgcheck=1\ngpgkey=file://{}\n",
            at("cache"),
            at("persist"),
            at("log"),
            at("distribution"),
            repository.display(),
            key.display(),
        );
        fs::write(path("dnf.conf"), configuration).unwrap();
        Self { folder }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    pub(crate) fn dnf(&self, verb: &str, packages: &[&str]) -> Result<String, String> {
        let mut command = Command::new("dnf");
        command.arg("--assumeyes").arg("--config").arg(self.folder.path().join("dnf.conf"));
        command.arg("--installroot").arg(self.root()).args(["--releasever=9", verb]).args(packages);
        run(&mut command)
    }

    /// Installs all of our packages, name to exact version, and removes them. In between, `look` is told which files
    /// they brought, relative to the root folder.
    pub(crate) fn install_and_remove(
        &self,
        ours: &BTreeMap<String, String>,
        look: impl FnOnce(&BTreeSet<String>),
    ) {
        let names: Vec<&str> = ours.keys().map(String::as_str).collect();
        self.dnf("install", &["distribution"]).unwrap();
        let before = self.files();

        self.dnf("install", &names).unwrap();
        let format = "%{NAME} %{VERSION}-%{RELEASE} %{RSAHEADER:pgpsig}\\n";
        let installed = self.rpm(&["-q", "--queryformat", format], &names);
        for (line, (name, version)) in installed.lines().zip(ours) {
            assert!(line.starts_with(&format!("{name} {version} RSA/SHA256, ")), "{installed}");
        }
        assert_eq!(installed.lines().count(), ours.len());
        // Nothing is started or enabled.
        let told = self.told();
        assert!(!told.is_empty() && told.lines().all(|line| line == "daemon-reload"), "{told}");
        assert_eq!(self.rpm(&["-V"], &names), "");
        look(&(&self.files() - &before));

        self.dnf("remove", &names).unwrap();
        let told = self.told();
        for unit in definitions().packages.values().flat_map(|definition| &definition.units) {
            assert!(told.contains(&format!("stop {unit}\n")), "{told}");
            assert!(told.contains(&format!("disable {unit}\n")), "{told}");
        }
        assert_eq!(self.files(), before);
        for folder in ["etc/cni", "etc/containerd", "etc/kubernetes", "opt/cni", "usr/libexec/metalk8s"] {
            assert!(!self.root().join(folder).exists(), "`/{folder}` is left");
        }
    }

    fn rpm(&self, words: &[&str], packages: &[&str]) -> String {
        run(Command::new("rpm").arg("--root").arg(self.root()).args(words).args(packages)).unwrap()
    }

    /// What systemctl was told since the last question.
    fn told(&self) -> String {
        let path = self.root().join("systemctl.told");
        let told = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, "").unwrap();
        told
    }

    fn files(&self) -> BTreeSet<String> {
        let all = files(self.root()).into_iter();
        all.filter(|name| !KEPT.iter().any(|kept| name.starts_with(kept))).collect()
    }
}

/// Changes one byte of the package `runc` in this version, and then of the list that has the digests of all else, in
/// a repository that holds its packages itself: dnf takes neither.
pub(crate) fn dnf_refuses_one_changed_byte(repository: &Path, key: &Path, version: &str) {
    let install = || Machine::new(repository, key).dnf("install", &["runc"]);
    let package = repository.join(format!("Packages/runc-{version}.x86_64.rpm"));
    let whole = fs::read(&package).unwrap();
    flip_a_byte(&package);
    let said = install().unwrap_err();
    assert!(said.contains("runc") && said.contains("incorrect checksum"), "{said}");
    fs::write(&package, whole).unwrap();
    install().unwrap();

    let list = repository.join("repodata/repomd.xml");
    let mut text = fs::read(&list).unwrap();
    // Another number: the list can still be read, and only its signature tells.
    let end = text.windows(11).position(|found| found == b"</revision>").unwrap();
    text[end - 1] ^= 1;
    fs::write(&list, text).unwrap();
    let said = install().unwrap_err();
    assert!(said.contains("metalk8s") && said.contains(BAD_SIGNATURE), "{said}");
}

fn definitions() -> Definitions {
    Definitions::read(&source_tree().join("packages")).unwrap()
}

fn distribution() -> rpm::Package {
    let definitions = definitions();
    let needed: BTreeSet<&String> = definitions
        .packages
        .values()
        .flat_map(|definition| &definition.redhat.depends)
        .filter(|relation| !definitions.packages.contains_key(relation.split(' ').next().unwrap_or_default()))
        .collect();
    let mut builder = PackageBuilder::new("distribution", "1", "None", "x86_64", "a distribution");
    builder.release("1");
    for name in needed {
        builder.provides(Dependency::any(name));
    }
    for (from, to) in SHELL {
        builder.with_file(from, FileOptions::new(to).permissions(0o755)).unwrap();
    }
    let options = FileOptions::new("/usr/bin/systemctl").permissions(0o755);
    builder.with_file_contents(SYSTEMCTL, options).unwrap();
    builder.build().unwrap()
}
