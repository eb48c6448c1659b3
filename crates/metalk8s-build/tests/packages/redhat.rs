//! An empty root folder that dnf fills from our repository, every signature checked.
//!
//! What our packages need of the distribution is played by one package of the test's own: none of a real one can
//! be had here.

use std::{collections::BTreeSet, fs, io::Read, path::Path, process::Command};

use flate2::read::GzDecoder;
use metalk8s_build::packages::definition::Definitions;
use rpm::{Dependency, FileOptions, PackageBuilder};
use tempfile::TempDir;

use crate::built::{Built, files, flip_a_byte, run, source_tree, temporary};

/// The shell that scripts of packages run with, and what it needs.
const SHELL: [(&str, &str); 3] = [
    ("/bin/dash", "/bin/sh"),
    ("/lib64/ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2"),
    ("/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6"),
];
const SYSTEMCTL: &str = "#!/bin/sh\necho \"$@\" >> /systemctl.told\n";

/// An empty root folder, and a dnf that knows one of our repositories.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new(built: &Built, repository: &str) -> Self {
        let folder = temporary();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("root/run/systemd/system")).unwrap();
        fs::create_dir(path("distribution")).unwrap();
        distribution().write_file(path("distribution/distribution-1-1.x86_64.rpm")).unwrap();
        run(Command::new("createrepo_c").args(["--quiet", "--no-database"]).arg(path("distribution")))
            .unwrap();
        let out = built.out();
        let at = |name: &str| path(name).display().to_string();
        let configuration = format!(
            "[main]\nreposdir=/nonexistent\nvarsdir=/nonexistent\npluginpath=/nonexistent\n\
             cachedir={}\npersistdir={}\nlogdir={}\n\
             [distribution]\nname=distribution\nbaseurl=file://{}\ngpgcheck=0\n\
             [metalk8s]\nname=metalk8s\nbaseurl=file://{}/packages/{repository}\n\
             gpgcheck=1\nrepo_gpgcheck=1\ngpgkey=file://{}/packages.asc\n",
            at("cache"),
            at("persist"),
            at("log"),
            at("distribution"),
            out.display(),
            out.display(),
        );
        fs::write(path("dnf.conf"), configuration).unwrap();
        Self { folder }
    }

    fn root(&self) -> std::path::PathBuf {
        self.folder.path().join("root")
    }

    fn dnf(&self, verb: &str, packages: &[&str]) -> Result<String, String> {
        let mut command = Command::new("dnf");
        command.arg("--assumeyes").arg("--config").arg(self.folder.path().join("dnf.conf"));
        command.arg("--installroot").arg(self.root()).args(["--releasever=9", verb]).args(packages);
        run(&mut command)
    }

    fn told(&self) -> String {
        let path = self.root().join("systemctl.told");
        let told = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, "").unwrap();
        told
    }
}

fn distribution() -> rpm::Package {
    let definitions = Definitions::read(&source_tree().join("packages")).unwrap();
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

#[test]
fn dnf_installs_with_every_signature_checked_and_removal_leaves_nothing() {
    let built = Built::new();
    for repository in ["redhat/9", "redhat/8"] {
        let machine = Machine::new(&built, repository);
        let ours = built.ours(repository);
        let names: Vec<&str> = ours.keys().map(String::as_str).collect();
        let outside = |machine: &Machine| -> Vec<String> {
            let kept = ["systemctl.told", "usr/lib/sysimage/", "var/"];
            let all = files(machine.root()).into_iter();
            all.filter(|name| !kept.iter().any(|kept| name.starts_with(kept))).collect()
        };
        machine.dnf("install", &["distribution"]).unwrap();
        let before = outside(&machine);

        machine.dnf("install", &names).unwrap();
        let mut query = Command::new("rpm");
        query.arg("--root").arg(machine.root());
        query.args(["-q", "--queryformat", "%{NAME} %{VERSION}-%{RELEASE} %{RSAHEADER:pgpsig}\\n"]);
        let installed = run(query.args(&names)).unwrap();
        for (line, (name, version)) in installed.lines().zip(&ours) {
            assert!(line.starts_with(&format!("{name} {version} RSA/SHA256, ")), "{installed}");
        }
        assert_eq!(installed.lines().count(), ours.len());
        assert!(machine.told().lines().all(|line| line == "daemon-reload"));
        let said = run(Command::new("chroot").arg(machine.root()).args(["/bin/sh", "/usr/bin/kubelet"]));
        assert_eq!(said.unwrap(), "kubelet kubernetes\n");
        let mut verify = Command::new("rpm");
        verify.arg("--root").arg(machine.root()).arg("-V");
        assert_eq!(run(verify.args(&names)).unwrap(), "");

        machine.dnf("remove", &names).unwrap();
        let told = machine.told();
        for unit in ["containerd.service", "kubelet.service"] {
            assert!(told.contains(&format!("stop {unit}\n")), "{told}");
            assert!(told.contains(&format!("disable {unit}\n")), "{told}");
        }
        assert_eq!(outside(&machine), before);
        for folder in ["etc/cni", "etc/containerd", "etc/kubernetes", "opt/cni", "usr/libexec/metalk8s"] {
            assert!(!machine.root().join(folder).exists(), "`/{folder}` is left");
        }
    }
}

#[test]
fn dnf_refuses_a_package_and_a_list_with_one_byte_changed() {
    let built = Built::new();
    let repository = built.out().join("packages/redhat/9");
    let version = &built.ours("redhat/9")["runc"];
    let package = repository.join(format!("Packages/runc-{version}.x86_64.rpm"));
    let whole = fs::read(&package).unwrap();
    flip_a_byte(&package);
    let said = Machine::new(&built, "redhat/9").dnf("install", &["runc"]).unwrap_err();
    assert!(said.contains("runc"), "{said}");
    fs::write(&package, whole).unwrap();
    Machine::new(&built, "redhat/9").dnf("install", &["runc"]).unwrap();

    flip_a_byte(&repository.join("repodata/repomd.xml"));
    let said = Machine::new(&built, "redhat/9").dnf("install", &["runc"]).unwrap_err();
    assert!(said.contains("metalk8s"), "{said}");
}

#[test]
fn the_lists_say_what_createrepo_says() {
    let built = Built::new();
    let folder = temporary();
    let ours = built.out().join("packages/redhat/9");
    run(Command::new("cp").arg("-a").arg(ours.join("Packages")).arg(folder.path())).unwrap();
    run(Command::new("createrepo_c").args(["--quiet", "--no-database"]).arg(folder.path())).unwrap();
    for kind in ["primary", "filelists"] {
        assert_eq!(facts(&ours, kind), facts(folder.path(), kind), "{kind}");
    }
}

/// The lines of a list that tell facts of a package, sorted; not the times of files, and not the size of the
/// payload before it was packed, which `createrepo_c` does not find.
fn facts(repository: &Path, kind: &str) -> Vec<String> {
    let repodata = repository.join("repodata");
    let ending = format!("-{kind}.xml.gz");
    let name = files(&repodata).into_iter().find(|name| name.ends_with(&ending)).unwrap();
    let mut text = String::new();
    GzDecoder::new(fs::File::open(repodata.join(name)).unwrap()).read_to_string(&mut text).unwrap();
    let told = [
        "rpm:entry",
        "rpm:header-range",
        "rpm:license",
        "checksum",
        "version",
        "location",
        "file",
        "name",
        "arch",
        "size",
    ];
    let mut facts: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|line| told.iter().any(|word| line.starts_with(&format!("<{word}"))))
        .map(|line| line.split(" archive=").next().unwrap_or_default().to_owned())
        .collect();
    facts.sort();
    assert!(facts.len() > 20, "{facts:?}");
    facts
}
