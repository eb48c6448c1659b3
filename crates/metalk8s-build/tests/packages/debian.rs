//! A minimal Debian, without a network, that installs from our repository alone.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use metalk8s_build::context::cache_folder;
use tempfile::TempDir;

use crate::{
    built::Built,
    computer::{files, flip_a_byte, run, temporary},
};

const REPOSITORY: &str = "debian/bookworm";
/// What a package manager keeps for itself.
const KEPT: [&str; 5] = ["srv/", "var/cache/", "var/lib/apt/", "var/lib/dpkg/", "var/log/"];

/// The root folder of a machine that has our repository in `/srv` and a `systemctl` that notes what it is told.
struct Machine {
    root: TempDir,
}

impl Machine {
    fn new(built: &Built) -> Self {
        let root = temporary();
        run(Command::new("cp").arg("-a").arg(minimal_debian().join(".")).arg(root.path())).unwrap();
        run(Command::new("cp").arg("-a").arg(built.out()).arg(root.path().join("srv/metalk8s"))).unwrap();
        let path = |name: &str| root.path().join(name);
        let source = "deb [signed-by=/srv/metalk8s/packages.asc] \
                      file:///srv/metalk8s/packages/debian/bookworm bookworm main\n";
        fs::write(path("etc/apt/sources.list"), source).unwrap();
        fs::create_dir_all(path("run/systemd/system")).unwrap();
        fs::write(path("usr/bin/systemctl"), "#!/bin/sh\necho \"$@\" >> /srv/systemctl\n").unwrap();
        fs::set_permissions(path("usr/bin/systemctl"), fs::Permissions::from_mode(0o755)).unwrap();
        Self { root }
    }

    fn run(&self, script: &str) -> Result<String, String> {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "chroot"]).arg(self.root.path());
        command.args(["/bin/sh", "-ec", script]).env("DEBIAN_FRONTEND", "noninteractive");
        run(command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"))
    }

    /// What systemctl was told since the last question.
    fn told(&self) -> String {
        let path = self.root.path().join("srv/systemctl");
        let told = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, "").unwrap();
        told
    }

    /// Everything but what the package manager keeps for itself.
    fn files(&self) -> BTreeSet<String> {
        let mut files: BTreeSet<String> = files(self.root.path()).into_iter().collect();
        files.retain(|name| !KEPT.iter().any(|kept| name.starts_with(kept)));
        files
    }
}

/// Made once per computer.
fn minimal_debian() -> PathBuf {
    let folder = cache_folder().unwrap().join("test");
    let root = folder.join("debian-bookworm-minimal");
    fs::create_dir_all(&folder).unwrap();
    let lock = fs::File::create(folder.join(".debian-bookworm-minimal.lock")).unwrap();
    lock.lock().unwrap();
    if !root.is_dir() {
        let new = root.with_extension("new");
        let _ = fs::remove_dir_all(&new);
        run(Command::new("debootstrap").args(["--variant=minbase", "bookworm"]).arg(&new)).unwrap();
        fs::rename(&new, &root).unwrap();
    }
    root
}

fn assert_lines(text: &str, expected: &[&str]) {
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn apt_installs_from_the_repository_alone_and_removal_leaves_nothing() {
    let built = Built::new();
    let machine = Machine::new(&built);
    let ours = built.ours(REPOSITORY);
    let foreign: Vec<&str> = built.report.repositories[REPOSITORY]
        .keys()
        .filter(|name| !ours.contains_key(*name))
        .map(String::as_str)
        .collect();
    let install = "apt-get --quiet --yes --no-install-recommends install";
    machine.run(&format!("apt-get --quiet update && {install} {}", foreign.join(" "))).unwrap();
    let before = machine.files();
    machine.told();

    let exact: Vec<String> = ours.iter().map(|(name, version)| format!("{name}={version}")).collect();
    machine.run(&format!("{install} {} && apt-mark hold kubelet", exact.join(" "))).unwrap();
    let said = machine.run("kubelet; kubectl; containerd; crictl; runc; salt-call; /opt/cni/bin/loopback");
    assert_lines(
        &said.unwrap(),
        &[
            "kubelet kubernetes",
            "kubectl kubernetes",
            "containerd containerd",
            "crictl crictl",
            "runc runc",
            "salt-call metalk8s",
            "loopback loopback",
        ],
    );
    let names: Vec<&str> = ours.keys().map(String::as_str).collect();
    let names = names.join(" ");
    assert_eq!(machine.run(&format!("dpkg --verify {names}")).unwrap(), "");
    // Nothing is started or enabled.
    let told = machine.told();
    assert!(told.lines().all(|line| line == "daemon-reload"), "{told}");
    let wants = machine.root.path().join("etc/systemd/system/multi-user.target.wants");
    assert!(!wants.join("kubelet.service").exists() && !wants.join("containerd.service").exists());

    machine.run(&format!("apt-get --quiet --yes --allow-change-held-packages remove {names}")).unwrap();
    let told = machine.told();
    for unit in ["containerd.service", "kubelet.service"] {
        assert!(told.contains(&format!("stop {unit}\n")), "{told}");
        assert!(told.contains(&format!("disable {unit}\n")), "{told}");
    }
    assert_eq!(machine.files(), before);
    let left = machine.run(&format!("dpkg-query --show --showformat='${{Status}}\\n' {names}"));
    let left = left.unwrap_err();
    assert!(!left.contains("installed") && !left.contains("config-files"), "{left}");
}

#[test]
fn apt_refuses_a_package_and_an_index_with_one_byte_changed() {
    let built = Built::new();
    let machine = Machine::new(&built);
    let repository = machine.root.path().join("srv/metalk8s/packages").join(REPOSITORY);
    machine.run("apt-get --quiet update").unwrap();

    let version = &built.ours(REPOSITORY)["runc"];
    flip_a_byte(&repository.join(format!("pool/main/runc_{version}_amd64.deb")));
    let said = machine.run("apt-get --quiet --yes install runc").unwrap_err();
    assert!(said.contains("Hash Sum mismatch") && said.contains("runc"), "{said}");

    let refused = |file: &str, change: fn(&Path), because: &str| {
        let path = repository.join("dists/bookworm").join(file);
        let whole = fs::read(&path).unwrap();
        change(&path);
        let script = "rm -rf /var/lib/apt/lists/* && apt-get --quiet -o APT::Update::Error-Mode=any update";
        let said = machine.run(script).unwrap_err();
        assert!(said.contains(because), "{file}: {said}");
        fs::write(&path, whole).unwrap();
    };
    let change_the_text = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        fs::write(path, text.replacen("Label: M", "Label: N", 1)).unwrap();
    };
    refused("InRelease", change_the_text, "BADSIG");
    // The other form of the index goes too: apt would fall back to it.
    fs::remove_file(repository.join("dists/bookworm/main/binary-amd64/Packages")).unwrap();
    refused("main/binary-amd64/Packages.gz", flip_a_byte, "mismatch");
}
