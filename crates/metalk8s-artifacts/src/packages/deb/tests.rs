use std::{io::Read, process::Command};

use super::*;
use crate::packages::{Relations, Source};

fn package() -> Package {
    Package {
        name: "stand-in".to_owned(),
        version: "1.2.3".to_owned(),
        release: "1".to_owned(),
        summary: "a package of a test".to_owned(),
        description: "First.\n\nSecond.".to_owned(),
        license: "Apache-2.0".to_owned(),
        relations: Relations { depends: vec!["socat".to_owned()], ..Relations::default() },
        entries: vec![
            Entry {
                path: "/usr/bin/stand-in".to_owned(),
                kind: EntryKind::File {
                    source: Source::Bytes(b"#!/bin/sh\n".to_vec()),
                    mode: 0o755,
                    config: false,
                },
            },
            Entry {
                path: "/usr/bin/other".to_owned(),
                kind: EntryKind::Link { target: "stand-in".to_owned() },
            },
            Entry { path: "/etc/stand-in".to_owned(), kind: EntryKind::Directory { mode: 0o700 } },
            Entry {
                path: "/etc/stand-in/conf".to_owned(),
                kind: EntryKind::File { source: Source::Bytes(b"a=1\n".to_vec()), mode: 0o640, config: true },
            },
        ],
        scripts: Scripts { after_install: "true\n".to_owned(), ..Scripts::default() },
    }
}

fn dpkg_deb(option: &str, file: &Path) -> String {
    let output = Command::new("dpkg-deb").arg(option).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn dpkg_reads_what_we_write() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stand-in.deb");
    let described = write(&package(), 1_700_000_000, &file, "pool/stand-in.deb").unwrap();
    assert_eq!(described.size, fs::metadata(&file).unwrap().len());
    let fields = dpkg_deb("--field", &file);
    assert_eq!(fields, described.control);
    assert!(fields.contains("Version: 1.2.3-1\n") && fields.contains(" First.\n .\n Second.\n"));
    let listed = dpkg_deb("--contents", &file);
    let modes: Vec<_> = listed
        .lines()
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            format!("{} {} {}", words[0], words[1], words[5..].join(" "))
        })
        .collect();
    assert_eq!(
        modes,
        [
            "drwxr-xr-x root/root ./",
            "drwxr-xr-x root/root ./etc/",
            "drwx------ root/root ./etc/stand-in/",
            "-rw-r----- root/root ./etc/stand-in/conf",
            "drwxr-xr-x root/root ./usr/",
            "drwxr-xr-x root/root ./usr/bin/",
            "lrwxrwxrwx root/root ./usr/bin/other -> stand-in",
            "-rwxr-xr-x root/root ./usr/bin/stand-in",
        ]
    );
}

#[test]
fn two_writings_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| {
        let file = folder.path().join(name);
        write(&package(), 1_700_000_000, &file, "pool/stand-in.deb").unwrap();
        fs::read(file).unwrap()
    });
    assert!(one == other);
}

#[test]
fn a_path_that_leaves_the_root_is_refused() {
    for path in ["usr/bin/x", "/../x", "/usr//x", "/usr/./x", "/a\nb", "/"] {
        let mut package = package();
        package.entries[0].path = path.to_owned();
        let folder = tempfile::tempdir().unwrap();
        let error = write(&package, 0, &folder.path().join("x"), "x").unwrap_err();
        assert!(matches!(error, WriteDebError::Path { .. }), "{path:?}: {error}");
    }
}

#[test]
fn a_missing_program_is_named_with_its_package() {
    let mut package = package();
    package.entries[0].kind =
        EntryKind::File { source: Source::Path("/nowhere/program".into()), mode: 0o755, config: false };
    let folder = tempfile::tempdir().unwrap();
    let error = write(&package, 0, &folder.path().join("x"), "x").unwrap_err();
    assert_eq!(error.to_string(), "could not read `/usr/bin/stand-in` for the package `stand-in`");
}

#[test]
fn the_whole_file_is_an_ar_of_the_three_members_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.deb");
    write(&package(), 0, &file, "x").unwrap();
    let mut bytes = Vec::new();
    fs::File::open(&file).unwrap().read_to_end(&mut bytes).unwrap();
    assert!(
        bytes.starts_with(b"!<arch>\ndebian-binary   0           0     0     100644  4         `\n2.0\n")
    );
    assert!(bytes.len().is_multiple_of(2));
}
