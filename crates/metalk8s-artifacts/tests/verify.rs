//! `read_archive` and `verify`, on a folder and on the ISO made from it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
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
        archive.write("bin/metalk8s", &[3; 10_000]);
        archive.write("images/blobs/sha256/00", &[4; 100_000]);
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
fn one_flipped_byte_anywhere_in_a_file_names_the_file() {
    for path in ["product.txt", "bin/metalk8s", "images/blobs/sha256/00"] {
        let archive = Archive::new();
        let mut bytes = fs::read(archive.root().join(path)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        archive.write(path, &bytes);
        let problems = archive.problems();
        assert!(
            matches!(&problems[..], [Problem::Changed { path: named, .. }] if named == path),
            "{problems:?}"
        );
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
