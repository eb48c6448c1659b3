//! Our repositories for Red Hat as dnf takes them.

use std::{fs, io::Read, path::Path, process::Command};

use flate2::read::GzDecoder;
use metalk8s_build::packages::KEY_FILE;

use crate::{
    built::Built,
    computer::{files, run, temporary},
    redhat_machine::{Machine, dnf_refuses_one_changed_byte},
};

#[test]
fn dnf_installs_with_every_signature_checked_and_removal_leaves_nothing() {
    let built = Built::new();
    for repository in ["redhat/9", "redhat/8"] {
        let folder = built.out().join("packages").join(repository);
        let machine = Machine::new(&folder, &built.out().join(KEY_FILE));
        machine.install_and_remove(&built.ours(repository), |_| {
            let said = run(Command::new("chroot").arg(machine.root()).args(["/bin/sh", "/usr/bin/kubelet"]));
            assert_eq!(said.unwrap(), "kubelet kubernetes\n");
        });
    }
}

#[test]
fn dnf_refuses_a_package_and_a_list_with_one_byte_changed() {
    let built = Built::new();
    let repository = built.out().join("packages/redhat/9");
    let version = &built.ours("redhat/9")["runc"];
    dnf_refuses_one_changed_byte(&repository, &built.out().join(KEY_FILE), version);
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
