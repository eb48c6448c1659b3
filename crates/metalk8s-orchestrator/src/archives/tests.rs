//! Archives on a machine that is nothing but a temporary folder.

use std::os::unix::fs::symlink;

use metalk8s_diagnostics::{Diagnose, explain};
use metalk8s_engine::{State, state::Contents};

use super::*;
use crate::testing::ArchiveFiles;

const CONFIGURATION: &str = "\
# Ours.
apiVersion: metalk8s.scality.com/v1alpha2
kind: BootstrapConfiguration
networks: {controlPlane: 10.200.1.0/28, workloadPlane: 10.200.1.0/28}
ca: {minion: bootstrap}
archives:
  - FIRST   # the one it was installed from
proxies: {http: 'http://user:geheim@proxy.example:3128'}
";

/// A machine whose configuration names `first.iso` of version 1.0.0.
struct Machine(ArchiveFiles);

impl Machine {
    fn new() -> Self {
        let files = ArchiveFiles::new();
        let first = files.iso("1.0.0", "first.iso");
        files.write("bootstrap.yaml", &CONFIGURATION.replace("FIRST", first.to_str().unwrap()));
        Self(files)
    }

    fn options(&self, add: &[&Path]) -> ArchivesOptions {
        ArchivesOptions {
            note: self.0.path("verified.json"),
            ..ArchivesOptions::new(
                self.0.path("bootstrap.yaml"),
                add.iter().map(|path| (*path).to_owned()).collect(),
                false,
            )
        }
    }

    fn prepare(&self, add: &[&Path]) -> Result<Archives, ArchivesError> {
        prepare(&self.options(add), &Progress::to(ProgressMode::Quiet, io::sink()))
    }

    fn text(&self) -> String {
        fs::read_to_string(self.0.path("bootstrap.yaml")).unwrap()
    }

    /// What is wrong with the archives, as codes and messages; nothing else was changed by finding it out.
    #[track_caller]
    fn refuses(&self, add: &[&Path]) -> Vec<String> {
        let before = self.text();
        let err = self.prepare(add).unwrap_err();
        assert_eq!(self.text(), before);
        match err {
            ArchivesError::Unusable(problems) => problems
                .problems
                .iter()
                .map(|problem| format!("{} {}", problem.code, problem.message))
                .collect(),
            other => vec![format!("{} {other}", other.code().unwrap())],
        }
    }
}

fn names(archives: &Archives) -> Vec<&'static str> {
    archives.stages.iter().map(|stage| stage.name).collect()
}

#[test]
fn an_archive_is_added_to_the_text_and_mounted_below_its_version() {
    let machine = Machine::new();
    let second = machine.0.iso("2.0.0", "second.iso");
    let archives = machine.prepare(&[&second]).unwrap();
    assert_eq!(names(&archives), ["configuration", "archives"]);
    let [first, added] = &archives.mounts[..] else { panic!("{:?}", archives.mounts) };
    assert_eq!(first.mountpoint, Path::new("/srv/scality/metalk8s-1.0.0"));
    assert_eq!((&added.archive, added.is_image), (&second, true));
    assert_eq!(added.mountpoint, Path::new("/srv/scality/metalk8s-2.0.0"));

    let State::File(file) = &archives.stages[0].graph.steps()[0].state else { panic!("no file") };
    let Contents::WithSecrets { text, .. } = &file.contents else { panic!("a plan would show a password") };
    let added = format!("  - {}\nproxies", second.display());
    assert_eq!(*text, machine.text().replace("proxies", &added));
    assert_eq!(machine.text().matches("second").count(), 0, "deciding changes nothing");
    let State::Mount(mount) = &archives.stages[1].graph.steps()[1].state else { panic!("no mount") };
    assert!(mount.persistent && mount.holds.is_some() && mount.options.contains(&"ro".to_owned()));
}

#[test]
fn an_archive_that_is_known_is_not_added_however_it_is_named() {
    let machine = Machine::new();
    let first = machine.0.path("first.iso");
    let link = machine.0.path("link.iso");
    symlink(&first, &link).unwrap();
    let around = machine.0.path("first.iso.tree/../first.iso");
    for add in [&[][..], &[&*first], &[&*first, &*first], &[&*link], &[&*around]] {
        assert_eq!(names(&machine.prepare(add).unwrap()), ["archives"], "{add:?}");
    }
    let second = machine.0.iso("2.0.0", "second.iso");
    assert_eq!(machine.prepare(&[&second, &second]).unwrap().mounts.len(), 2);
}

#[test]
fn a_folder_is_added_and_not_mounted() {
    let machine = Machine::new();
    let folder = machine.0.archive("2.0.0", "folder");
    let archives = machine.prepare(&[&folder]).unwrap();
    assert_eq!(archives.mounts[1].mountpoint, folder);
    assert_eq!(archives.stages[1].graph.steps().len(), 1);
}

#[test]
fn two_archives_of_one_version_are_refused_and_both_named() {
    let machine = Machine::new();
    let (first, other) = (machine.0.path("first.iso"), machine.0.iso("1.0.0", "other.iso"));
    let expected = format!("MK1309 `{}` and `{}` are both version 1.0.0", first.display(), other.display());
    assert_eq!(machine.refuses(&[&other]), [expected]);
}

#[test]
fn all_that_is_no_archive_is_told_at_once() {
    let machine = Machine::new();
    let missing = machine.0.path("missing.iso");
    let text = machine.0.write("text.iso", "no ISO");
    let other = machine.0.archive("2.0.0", "other");
    fs::write(other.join("product.txt"), "NAME=Else\nVERSION=2.0.0\n").unwrap();
    let pipe = machine.0.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let told = machine.refuses(&[&missing, &text, &other, &pipe]);
    assert_eq!(told.len(), 4, "{told:#?}");
    assert!(told[0].starts_with("MK1301 ") && told[0].contains("missing.iso"), "{told:#?}");
    assert!(told[1].starts_with("MK1302 ") && told[1].contains("text.iso"), "{told:#?}");
    assert!(told[2].starts_with("MK1305 ") && told[2].contains("`Else`"), "{told:#?}");
    assert!(told[3].starts_with("MK1302 ") && told[3].ends_with("neither a file nor a folder"), "{told:#?}");
}

#[test]
fn a_damaged_archive_is_refused() {
    let machine = Machine::new();
    let folder = machine.0.archive("2.0.0", "folder");
    fs::write(folder.join("bin/metalk8s"), "proGram").unwrap();
    let told = machine.refuses(&[&folder]);
    assert!(told[0].starts_with("MK1303 ") && told[0].contains("bin/metalk8s"), "{told:#?}");
}

#[test]
fn a_form_that_cannot_be_added_to_is_left_for_its_writer() {
    let machine = Machine::new();
    let first = machine.0.path("first.iso");
    let list = "\n  - FIRST   # the one it was installed from";
    let text = CONFIGURATION.replace(list, &format!(" >-\n  {}", first.display()));
    machine.0.write("bootstrap.yaml", &text);
    let second = machine.0.archive("2.0.0", "second");
    let err = machine.prepare(&[&second]).unwrap_err();
    assert_eq!(err.code(), Some(explain::CONFIG_NOT_EDITED));
    assert!(err.hints()[0].0.contains(&format!("`- {}`", second.display())), "{:?}", err.hints());
}

#[test]
fn a_configuration_that_was_saved_meanwhile_is_not_overwritten() {
    let machine = Machine::new();
    let file = ConfigurationFile::read(&machine.0.path("bootstrap.yaml")).unwrap();
    machine.0.write("bootstrap.yaml", &format!("{}# a thought\n", machine.text()));
    let err = edited(&file, &["/b.iso".into()]).unwrap_err();
    assert!(matches!(err, ArchivesError::ChangedMeanwhile { .. }), "{err}");
}

#[test]
fn a_link_to_the_configuration_stays_one_and_permissions_stay() {
    let machine = Machine::new();
    let real = machine.0.path("bootstrap.yaml");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    let link = machine.0.path("link.yaml");
    symlink(&real, &link).unwrap();
    let (path, mode, _) = edited(&ConfigurationFile::read(&link).unwrap(), &["/b.iso".into()]).unwrap();
    assert_eq!((path, mode), (real.canonicalize().unwrap(), 0o640));
}

#[test]
fn what_is_mounted_below_a_root_is_found_by_its_product() {
    let files = ArchiveFiles::new();
    files.archive("2.0.0", "metalk8s-2.0.0");
    files.archive("1.0.0", "metalk8s-1.0.0");
    files.archive("3.0.0", "elsewhere");
    fs::create_dir(files.path("metalk8s-4.0.0")).unwrap();
    assert_eq!(installed(&files.path("")), ["metalk8s-1.0.0", "metalk8s-2.0.0"]);
    assert_eq!(installed(&files.path("nowhere")), [""; 0]);
}
