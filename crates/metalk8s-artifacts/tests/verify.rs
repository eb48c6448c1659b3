//! `read_archive` and `verify`, on a folder and on the ISO made from it; and the scripts that look at the program
//! before it can look at anything.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use metalk8s_artifacts::{
    Manifest, Problem, Product,
    archive::{ReadArchiveError, read_product},
    digest::sha256,
    manifest::FileEntry,
    read_archive,
    signature::PrivateKey,
    verify,
};

struct Archive {
    folder: tempfile::TempDir,
    key: PrivateKey,
}

impl Archive {
    fn new() -> Self {
        Self::sized(10_000, 100_000)
    }

    /// With a program and a layer of so many bytes.
    fn sized(program: usize, layer: usize) -> Self {
        let archive = Self { folder: tempfile::tempdir().unwrap(), key: PrivateKey::from_seed(&[1; 32]) };
        let product = Product {
            name: "MetalK8s".into(),
            version: "1.2.3".into(),
            short_version: "1.2".into(),
            git: String::new(),
            development: false,
            timestamp: "2026-01-01T00:00:00Z".into(),
            host: "test".into(),
        };
        archive.write("product.txt", product.render().as_bytes());
        archive.write("keys/archive.pub", archive.key.public_pem().as_bytes());
        archive.write("bin/metalk8s", &vec![3; program]);
        archive.write("images/blobs/sha256/00", &vec![4; layer]);
        archive.sign("1.2.3");
        archive
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn sign(&self, version: &str) {
        let mut files = BTreeMap::new();
        for path in ["product.txt", "keys/archive.pub", "bin/metalk8s", "images/blobs/sha256/00"] {
            let bytes = fs::read(self.root().join(path)).unwrap();
            files.insert(path.to_owned(), FileEntry { size: bytes.len() as u64, sha256: sha256(&bytes) });
        }
        let manifest = Manifest {
            schema: 1,
            name: "MetalK8s".into(),
            version: version.into(),
            components: BTreeMap::new(),
            images: BTreeMap::new(),
            packages: [("debian/bookworm".to_owned(), [("kubelet".to_owned(), "1-1".to_owned())].into())]
                .into(),
            files,
        }
        .render();
        self.write("manifest.json", &manifest);
        self.write("manifest.json.sig", self.key.sign(&manifest).as_bytes());
    }

    fn iso(&self) -> PathBuf {
        let iso = self.folder.path().join("x.iso");
        let mut command = Command::new("xorriso");
        command.args(["-as", "mkisofs", "-quiet", "-R", "-J", "-V", "MetalK8s 1.2.3", "-o"]);
        assert!(command.args([&iso, &self.root()]).stderr(Stdio::null()).status().unwrap().success());
        iso
    }

    fn problems(&self) -> Vec<Problem> {
        check(&self.root())
    }
}

const FRONT_DOOR: &str = include_str!("../../../scripts/front-door.sh");
const FRONT_DOORS: [&str; 3] = ["backup.sh", "bootstrap.sh", "iso-manager.sh"];
/// Tells what it was started with.
const PROGRAM: &str = "#!/bin/sh\nprintf '%s\\n' \"$@\"\nexit 7\n";

fn with_scripts() -> Archive {
    let archive = Archive::new();
    // With so many lines behind what is run, a byte in the middle or at the end changes nothing that is seen.
    let program = format!("{PROGRAM}{}", "#\n".repeat(1000));
    archive.write("bin/metalk8s", program.as_bytes());
    fs::set_permissions(archive.root().join("bin/metalk8s"), fs::Permissions::from_mode(0o755)).unwrap();
    archive.sign("1.2.3");
    for name in FRONT_DOORS {
        archive.write(name, FRONT_DOOR.as_bytes());
    }
    archive
}

impl Archive {
    fn start(&self, script: &str) -> Output {
        Command::new("sh").arg(self.root().join(script)).args(["--one", "and two"]).output().unwrap()
    }

    /// No script starts the program, and all say why with this code and these words.
    #[track_caller]
    fn does_not_start(&self, code: &str, words: &str) {
        for script in FRONT_DOORS {
            let output = self.start(script);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]), "{script}: {said}");
            let head = format!("error: the archive `{}` ", self.root().display());
            assert!(said.starts_with(&head) && said.contains(&format!(" ({code})\n")), "{said}");
            assert!(said.contains(words), "{said}");
            let way_out = format!("hint: `metalk8s explain {code}` tells what it means and what to do\n");
            assert!(said.contains("\nhint: copy the archive again") && said.ends_with(&way_out), "{said}");
        }
    }
}

fn check(path: &Path) -> Vec<Problem> {
    verify(path, None, &mut |_| ())
}

#[test]
fn an_untouched_archive_has_no_problem_as_a_folder_and_as_an_iso() {
    let archive = Archive::new();
    assert_eq!(archive.problems(), []);
    assert_eq!(check(&archive.iso()), []);
}

#[test]
fn it_tells_what_it_is_as_a_folder_and_as_an_iso() {
    let archive = Archive::new();
    for path in [archive.root(), archive.iso()] {
        let read = read_archive(&path).unwrap();
        assert_eq!(read.product.version, "1.2.3");
        assert_eq!(read_product(&path).unwrap(), read.product);
        let facts = read.facts(Path::new("/srv/scality/metalk8s-1.2.3"), "debian/bookworm");
        assert_eq!(facts.packages["kubelet"], "1-1");
    }
}

#[test]
fn progress_ends_with_all_bytes_read() {
    let archive = Archive::new();
    let mut last = (0, 1);
    verify(&archive.root(), None, &mut |progress| last = (progress.done, progress.total));
    assert_eq!(last.0, last.1);
}

#[test]
fn one_flipped_byte_anywhere_in_any_file_is_named() {
    let archive = Archive::sized(300, 500);
    for path in [
        "product.txt",
        "keys/archive.pub",
        "manifest.json",
        "manifest.json.sig",
        "bin/metalk8s",
        "images/blobs/sha256/00",
    ] {
        let whole = fs::read(archive.root().join(path)).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            archive.write(path, &bytes);
            let problems = archive.problems();
            let told = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            assert!(told.contains(path), "byte {at} of {path}: {told:?}");
        }
        archive.write(path, &whole);
        assert_eq!(archive.problems(), [], "{path}");
    }
}

#[test]
fn one_flipped_byte_in_the_iso_names_the_file() {
    let archive = Archive::new();
    let iso = archive.iso();
    let mut bytes = fs::read(&iso).unwrap();
    let at = bytes.windows(5000).position(|window| window.iter().all(|byte| *byte == 3)).unwrap();
    bytes[at + 4000] ^= 0x80;
    fs::write(&iso, bytes).unwrap();
    let problems = check(&iso);
    assert!(
        matches!(&problems[..], [Problem::Changed { path, .. }] if path == "bin/metalk8s"),
        "{problems:?}"
    );
}

#[test]
fn a_changed_manifest_and_a_changed_signature_are_noticed() {
    let archive = Archive::new();
    let manifest = fs::read_to_string(archive.root().join("manifest.json")).unwrap();
    archive.write("manifest.json", manifest.replace("1-1", "1-2").as_bytes());
    assert!(matches!(&archive.problems()[..], [Problem::BadSignature { .. }]));
    archive.sign("1.2.3");
    archive.write("manifest.json.sig", b"rubbish");
    assert!(matches!(&archive.problems()[..], [Problem::BadSignature { .. }]));
    fs::remove_file(archive.root().join("manifest.json.sig")).unwrap();
    assert!(matches!(&archive.problems()[..], [Problem::Unreadable { .. }]));
}

#[test]
fn missing_extra_and_shortened_files_are_named() {
    let archive = Archive::new();
    fs::remove_file(archive.root().join("bin/metalk8s")).unwrap();
    archive.write("bin/other", b"x");
    archive.write("images/blobs/sha256/00", &[4; 99_999]);
    let problems = archive.problems();
    let expected = [
        Problem::Extra { path: "bin/other".into() },
        Problem::Missing { path: "bin/metalk8s".into() },
        Problem::Size { path: "images/blobs/sha256/00".into(), expected: 100_000, found: 99_999 },
    ];
    assert_eq!(problems, expected);
}

#[test]
fn a_link_in_the_place_of_a_file_is_refused_even_if_its_target_is_right() {
    let archive = Archive::new();
    let outside = archive.folder.path().join("outside");
    fs::rename(archive.root().join("bin/metalk8s"), &outside).unwrap();
    symlink(&outside, archive.root().join("bin/metalk8s")).unwrap();
    let expected =
        [Problem::Extra { path: "bin/metalk8s".into() }, Problem::Missing { path: "bin/metalk8s".into() }];
    assert_eq!(archive.problems(), expected);
}

#[test]
fn an_archive_signed_anew_by_somebody_is_an_unknown_key() {
    let archive = Archive::new();
    let trusted = archive.folder.path().join("trusted.pub");
    fs::write(&trusted, archive.key.public_pem()).unwrap();
    assert_eq!(verify(&archive.root(), Some(&trusted), &mut |_| ()), []);
    fs::write(&trusted, PrivateKey::from_seed(&[9; 32]).public_pem()).unwrap();
    let problems = verify(&archive.root(), Some(&trusted), &mut |_| ());
    assert!(matches!(&problems[..], [Problem::UnknownKey { .. }]), "{problems:?}");
}

#[test]
fn two_versions_in_one_archive_are_refused() {
    let archive = Archive::new();
    archive.sign("1.2.4");
    assert!(matches!(read_archive(&archive.root()), Err(ReadArchiveError::TwoVersions { .. })));
    assert!(matches!(&archive.problems()[..], [Problem::TwoVersions { .. }]));
}

#[test]
fn what_is_no_archive_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(read_archive(folder.path()), Err(ReadArchiveError::Source { .. })));
    let file = folder.path().join("x.iso");
    for bytes in [&b""[..], b"not an iso", &[0; 100_000]] {
        fs::write(&file, bytes).unwrap();
        assert!(matches!(read_archive(&file), Err(ReadArchiveError::Source { .. })));
        assert!(matches!(&check(&file)[..], [Problem::Unreadable { .. }]));
    }
    assert!(matches!(&check(&folder.path().join("nothing"))[..], [Problem::Unreadable { .. }]));
}

#[test]
fn a_truncated_iso_is_noticed() {
    let archive = Archive::new();
    let iso = archive.iso();
    let bytes = fs::read(&iso).unwrap();
    for length in [bytes.len() / 4, bytes.len() / 2, 60 * 2048] {
        fs::write(&iso, &bytes[..length]).unwrap();
        assert!(!check(&iso).is_empty(), "cut to {length} bytes");
    }
}

#[test]
fn scripts_start_the_program_with_the_words_they_were_given() {
    let archive = with_scripts();
    let root = archive.root();
    for (script, first) in [
        ("bootstrap.sh", format!("bootstrap\n--archive\n{}\n", root.display())),
        ("iso-manager.sh", "archive\nadd\n".to_owned()),
        ("backup.sh", "backup\n".to_owned()),
    ] {
        let output = archive.start(script);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!((output.status.code(), said), (Some(7), format!("{first}--one\nand two\n")), "{script}");
    }
}

#[test]
fn a_script_of_another_name_starts_nothing_and_tells_its_names() {
    let archive = with_scripts();
    archive.write("restore.sh", FRONT_DOOR.as_bytes());
    let output = archive.start("restore.sh");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]), "{said}");
    assert!(said.starts_with("error: this is called `restore.sh`") && said.contains("`backup.sh`"), "{said}");
}

#[test]
fn scripts_do_not_start_a_program_with_one_flipped_byte() {
    let archive = with_scripts();
    let whole = fs::read(archive.root().join("bin/metalk8s")).unwrap();
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        archive.write("bin/metalk8s", &bytes);
        archive.does_not_start(
            "MK1303",
            &format!("`bin/metalk8s` was changed: sha256 {}, expected {}", sha256(&bytes), sha256(&whole)),
        );
    }
}

#[test]
fn scripts_do_not_start_a_program_that_cannot_be_compared() {
    let archive = with_scripts();
    let manifest = archive.root().join("manifest.json");
    let whole = fs::read_to_string(&manifest).unwrap();
    let other = whole.replace("bin/metalk8s", "bin/other");
    for text in ["", "{", "\u{1}\u{fffd}", &*other] {
        fs::write(&manifest, text).unwrap();
        archive.does_not_start("MK1302", "`manifest.json` has no sha256 of `bin/metalk8s`");
    }
    fs::remove_file(&manifest).unwrap();
    archive.does_not_start("MK1302", "manifest.json");
    fs::write(&manifest, &whole).unwrap();
    fs::remove_file(archive.root().join("bin/metalk8s")).unwrap();
    archive.does_not_start("MK1302", "bin/metalk8s");
}

#[test]
fn scripts_read_a_manifest_that_is_written_otherwise() {
    let archive = with_scripts();
    let manifest = archive.root().join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    // In one line, and with more about each file than there is today.
    let text = text.replace(['\n', ' '], "").replace("\"size\"", "\"mode\":493,\"size\"");
    fs::write(&manifest, text).unwrap();
    assert_eq!(archive.start("bootstrap.sh").status.code(), Some(7));
}
