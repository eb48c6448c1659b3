use std::{
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
};

use metalk8s_engine::{Hands, State};
use tar::{Builder, EntryType, Header};

use super::{contents::Limits, *};
use crate::testing::{Lab, chain, mode};

/// One entry: path, kind, mode, contents or target.
type Item<'a> = (&'a str, EntryType, u32, &'a str);

const FILES: [Item<'static>; 6] = [
    ("./", EntryType::Directory, 0o700, ""),
    ("app-1/bin/", EntryType::Directory, 0o750, ""),
    ("app-1/bin/run", EntryType::Regular, 0o755, "#!/bin/sh\n"),
    ("app-1/etc/deep/conf", EntryType::Regular, 0o640, "a = 1\n"),
    ("app-1/empty", EntryType::Regular, 0o444, ""),
    ("app-1/current", EntryType::Symlink, 0o777, "bin/../bin/run"),
];

fn tar(items: &[Item<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, mode, text) in items {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        if kind.is_gnu_sparse() {
            header.as_gnu_mut().unwrap().set_real_size(0);
        }
        // Written by hand, because the builder refuses paths that we want to see refused.
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        let is_file = kind.is_file();
        if !is_file {
            header.as_gnu_mut().unwrap().linkname[..text.len()].copy_from_slice(text.as_bytes());
        }
        let bytes = if is_file { text.as_bytes() } else { b"" };
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        builder.append(&header, bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn wish() -> Extracted {
    Extracted {
        source: "/srv/app.archive".into(),
        target: "/opt/app".into(),
        sha256: None,
        strip_components: 1,
        user: None,
        group: None,
    }
}

fn lab(archive: &[u8]) -> Lab {
    let lab = Lab::new();
    lab.file("/srv/app.archive", "");
    fs::write(lab.path("/srv/app.archive"), archive).unwrap();
    lab
}

fn state() -> State {
    State::Extracted(wish())
}

/// The error of checking, which applying has too; nothing is written.
async fn refused(archive: &[u8], wish: Extracted) -> String {
    let (lab, state) = (lab(archive), State::Extracted(wish));
    let told = chain(&lab.check(&state).await.unwrap_err());
    let change = Change::new(ChangeKind::Create, "");
    assert_eq!(chain(&lab.host.apply(&state, &change).await.unwrap_err()), told);
    assert_eq!((lab.names("/"), lab.names("/srv")), (vec!["srv".to_owned()], vec!["app.archive".to_owned()]));
    told
}

fn seen(lab: &Lab) -> Vec<(String, u32)> {
    ["bin", "bin/run", "etc", "etc/deep", "etc/deep/conf", "empty"]
        .map(|path| (path.to_owned(), mode(&lab.path(&format!("/opt/app/{path}")))))
        .into()
}

#[tokio::test]
async fn every_format_is_unpacked_and_then_nothing_is_left_to_do() {
    let tar = tar(&FILES);
    for archive in [tar.clone(), gzip(&tar), zstd::encode_all(&tar[..], 3).unwrap()] {
        let lab = lab(&archive);
        let change = lab.settles(&state()).await;
        assert_eq!(change, Change::new(ChangeKind::Create, "unpack /srv/app.archive into /opt/app"));
        let modes = [0o750, 0o755, 0o755, 0o755, 0o640, 0o444];
        assert_eq!(seen(&lab).into_iter().map(|(_, mode)| mode).collect::<Vec<_>>(), modes);
        assert_eq!(mode(&lab.path("/opt/app")), 0o755, "the folder itself is the host's");
        assert_eq!(lab.text("/opt/app/etc/deep/conf"), "a = 1\n");
        assert_eq!(fs::read_link(lab.path("/opt/app/current")).unwrap(), Path::new("bin/../bin/run"));
        assert_eq!(lab.names("/opt/app"), ["bin", "current", "empty", "etc"]);
    }
}

#[tokio::test]
async fn what_was_damaged_or_removed_is_found_and_mended_and_other_files_stay() {
    let lab = lab(&tar(&FILES));
    lab.settles(&state()).await;
    lab.file("/opt/app/own", "mine");
    let at = |path: &str| lab.path(&format!("/opt/app/{path}"));
    let damages: [(&str, &dyn Fn()); 8] = [
        ("etc/deep/conf", &|| fs::write(at("etc/deep/conf"), "a = 2\n").unwrap()),
        ("etc/deep/conf", &|| fs::remove_file(at("etc/deep/conf")).unwrap()),
        ("bin/run", &|| fs::set_permissions(at("bin/run"), fs::Permissions::from_mode(0o4755)).unwrap()),
        ("bin", &|| fs::set_permissions(at("bin"), fs::Permissions::from_mode(0o777)).unwrap()),
        ("bin", &|| fs::remove_dir_all(at("bin")).unwrap()),
        ("current", &|| {
            fs::remove_file(at("current")).unwrap();
            symlink("/etc/passwd", at("current")).unwrap();
        }),
        ("empty", &|| {
            fs::remove_file(at("empty")).unwrap();
            symlink("bin/run", at("empty")).unwrap();
        }),
        ("etc", &|| {
            fs::remove_dir_all(at("etc")).unwrap();
            fs::write(at("etc"), "").unwrap();
        }),
    ];
    for (path, damage) in damages {
        damage();
        let change = lab.settles(&state()).await;
        assert!(change.summary.contains(&format!("of 8 entries, such as `{path}`")), "{}", change.summary);
    }
    assert_eq!(lab.text("/opt/app/etc/deep/conf"), "a = 1\n");
    assert_eq!(lab.text("/opt/app/own"), "mine");
    assert_eq!(lab.names("/opt/app"), ["bin", "current", "empty", "etc", "own"]);
}

#[tokio::test]
async fn whatever_would_leave_the_folder_is_refused_before_anything_is_written() {
    use EntryType::{Block, Char, Directory, Fifo, GNUSparse, Link, Regular, Symlink};
    let cases: [(&[Item<'_>], &str); 15] = [
        (&[("../x", Regular, 0o644, "")], "its entry `../x` has `..` in its path"),
        (&[("a/../../x", Regular, 0o644, "")], "has `..` in its path"),
        (&[("/etc/x", Regular, 0o644, "")], "its entry `/etc/x` has an absolute path"),
        (&[("a", Link, 0o644, "run")], "its entry `a` is a hard link"),
        (&[("a", Char, 0o644, "")], "its entry `a` is a device or a pipe"),
        (&[("a", Block, 0o644, "")], "is a device or a pipe"),
        (&[("a", Fifo, 0o644, "")], "is a device or a pipe"),
        (&[("a", GNUSparse, 0o644, "")], "is a sparse file"),
        (
            &[("a", Symlink, 0o777, "/etc/passwd")],
            "is a link to `/etc/passwd`, which is outside of the folder",
        ),
        (&[("b/a", Symlink, 0o777, "../../x")], "is a link to `../../x`, which is outside of the folder"),
        // By its words it stays inside.
        (
            &[("d/up", Symlink, 0o777, ".."), ("x", Symlink, 0o777, "d/up/..")],
            "is a link to `d/up/..`, which is outside of the folder",
        ),
        (
            &[("d/", Directory, 0o755, ""), ("l", Symlink, 0o777, "d"), ("l/x", Regular, 0o644, "")],
            "its entry `l/x` stands below `l`, which is no folder",
        ),
        (&[("f", Regular, 0o644, ""), ("f/x", Regular, 0o644, "")], "stands below `f`, which is no folder"),
        (&[("a\u{1b}[2J", Link, 0o644, "")], r"its entry `a\u{1b}[2J` is a hard link"),
        (&[(".run.metalk8s-new", Regular, 0o644, "")], "has a name that files have while they are written"),
    ];
    for (bad, expected) in cases {
        let mut items = vec![("run", Regular, 0o755, "#!/bin/sh\n")];
        items.extend(bad);
        let told = refused(&tar(&items), Extracted { strip_components: 0, ..wish() }).await;
        assert!(told.starts_with("could not read the archive `/srv/app.archive`: "), "{told}");
        assert!(told.ends_with(expected), "{told}\n{expected}");
    }
}

#[tokio::test]
async fn links_on_the_disk_are_replaced_and_never_written_through() {
    let lab = lab(&tar(&FILES));
    lab.file("/precious/run", "precious");
    fs::create_dir_all(lab.path("/opt/app/etc")).unwrap();
    symlink(lab.path("/precious"), lab.path("/opt/app/bin")).unwrap();
    symlink(lab.path("/precious"), lab.path("/opt/app/etc/deep")).unwrap();
    symlink(lab.path("/precious/run"), lab.path("/opt/app/empty")).unwrap();
    lab.settles(&state()).await;
    assert_eq!(
        (lab.names("/precious"), lab.text("/precious/run")),
        (vec!["run".to_owned()], "precious".into())
    );
}

#[tokio::test]
async fn the_folder_itself_may_be_a_link_of_the_administrator() {
    let lab = lab(&tar(&FILES));
    fs::create_dir_all(lab.path("/big/app")).unwrap();
    fs::create_dir_all(lab.path("/opt")).unwrap();
    symlink("/big/app", lab.path("/opt/app")).unwrap();
    lab.settles(&state()).await;
    assert_eq!(lab.names("/big/app"), ["bin", "current", "empty", "etc"]);
}

#[tokio::test]
async fn a_directory_in_the_place_of_a_file_is_never_removed() {
    let lab = lab(&tar(&FILES));
    lab.file("/opt/app/empty/precious", "");
    let told = chain(&lab.check(&state()).await.unwrap_err());
    assert_eq!(told, "could not compare `/opt/app/empty`: it is a directory, and none in the archive");
    assert!(lab.path("/opt/app/empty/precious").exists());
}

#[tokio::test]
async fn a_wrong_digest_is_told_with_both_and_a_right_one_is_taken() {
    let archive = tar(&FILES);
    let told = refused(&archive, Extracted { sha256: Some("ab".repeat(32)), ..wish() }).await;
    let lab = lab(&archive);
    let right = stream::sha256(&File::open(lab.path("/srv/app.archive")).unwrap()).unwrap();
    let expected = format!(
        "the archive `/srv/app.archive` has the digest sha256 `{right}`, but `{}` was asked for",
        "ab".repeat(32)
    );
    assert_eq!(told, expected);
    lab.settles(&State::Extracted(Extracted { sha256: Some(right), ..wish() })).await;
}

#[tokio::test]
async fn archives_that_are_none_or_are_cut_off_are_refused() {
    let whole = tar(&FILES);
    let zipped = gzip(&whole);
    let mut broken = zipped.clone();
    let crc = broken.len() - 8;
    broken[crc] ^= 1;
    for (bytes, strip, expected) in [
        (&b"PK\x03\x04 and so on"[..], 0, "it is a file of zip; only tar, tar.gz and tar.zst are unpacked"),
        (b"\xfd7zXZ\0 and so on", 0, "it is a file of xz; only tar, tar.gz and tar.zst are unpacked"),
        (b"", 0, "it holds nothing"),
        (&whole, 9, "no path in it has more than 9 components"),
        (b"#!/bin/sh\necho hello\n", 0, ""),
        (&zipped[..zipped.len() - 20], 0, ""),
        (&broken, 0, ""),
        (&whole[..512 * 3 + 4], 0, ""),
    ] {
        let told = refused(bytes, Extracted { strip_components: strip, ..wish() }).await;
        assert!(told.ends_with(expected), "{told}");
    }
}

#[tokio::test]
async fn a_run_that_was_killed_in_between_is_mended_by_the_next() {
    let order = ["bin/run", "etc/deep/conf", "empty", "current"];
    for written in 0..order.len() {
        let lab = lab(&tar(&FILES));
        lab.settles(&state()).await;
        let all = seen(&lab);
        // Folders are made first and closed; then comes one file after the other, the last half written.
        for path in &order[written..] {
            fs::remove_file(lab.path("/opt/app").join(path)).unwrap();
        }
        fs::set_permissions(lab.path("/opt/app/bin"), fs::Permissions::from_mode(0o700)).unwrap();
        let half = Name::Usual.path(&lab.path("/opt/app").join(order[written])).unwrap();
        fs::write(&half, "#!").unwrap();
        lab.settles(&state()).await;
        assert_eq!(seen(&lab), all);
        assert!(!half.exists());
    }
}

/// Not a test by itself, but what the next one starts and kills.
#[tokio::test]
async fn child_that_unpacks() {
    if let Some(root) = std::env::var_os("METALK8S_TEST_UNPACK_IN") {
        apply(&Host::in_root(root), &wish()).await.unwrap();
    }
}

#[tokio::test]
async fn a_program_killed_while_it_unpacks_leaves_what_the_next_run_mends() {
    let names: Vec<String> = (0..400).map(|number| format!("app-1/{number:04}")).collect();
    let files = names.iter().map(|name| (name.as_str(), EntryType::Regular, 0o644, name.as_str()));
    let archive = tar(&files.collect::<Vec<_>>());
    // On a busy machine it may have ended before it was killed.
    for _ in 0..20 {
        let lab = lab(&archive);
        fs::create_dir_all(lab.path("/opt/app")).unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "extracted::tests::child_that_unpacks"])
            .env("METALK8S_TEST_UNPACK_IN", lab.path("/"))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while lab.names("/opt/app").len() < 20 && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let left = lab.names("/opt/app").len();
        if left < names.len() {
            assert!(left >= 20, "the child did not unpack");
            lab.settles(&state()).await;
            let all = names.iter().map(|name| name.trim_start_matches("app-1/"));
            assert!(lab.names("/opt/app").iter().eq(all), "{:?}", lab.names("/opt/app"));
            return;
        }
    }
    panic!("it was never killed in between");
}

#[test]
fn archives_that_are_too_large_are_given_up() {
    let lab = lab(&tar(&FILES));
    let file = File::open(lab.path("/srv/app.archive")).unwrap();
    let limits = Limits { entries: 9, bytes: 16, paths: 200 };
    let read = |limits| contents::read(&file, 0, limits).map(|contents| contents.0.len());
    assert_eq!(read(limits).unwrap(), 9);
    for limits in
        [Limits { entries: 8, ..limits }, Limits { bytes: 15, ..limits }, Limits { paths: 20, ..limits }]
    {
        assert!(read(limits).unwrap_err().to_string().starts_with("it holds more than"), "{limits:?}");
    }
}

#[tokio::test]
async fn a_long_name_that_is_no_name_is_given_up() {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(64 << 20);
    header.set_cksum();
    let mut bomb = header.as_bytes().to_vec();
    bomb.resize(512 + (64 << 20), b'a');
    bomb.extend(tar(&FILES));
    let told = refused(&zstd::encode_all(&bomb[..], 1).unwrap(), wish()).await;
    assert!(told.ends_with("more than 1048576 bytes stand between two entries"), "{told}");
}

#[tokio::test]
async fn of_two_entries_of_one_path_the_last_counts() {
    let file = |text| ("app-1/x", EntryType::Regular, 0o644, text);
    let lab = lab(&tar(&[file("first\n"), file("last\n")]));
    lab.settles(&state()).await;
    assert_eq!(lab.text("/opt/app/x"), "last\n");
}

#[tokio::test]
async fn an_owner_is_given_to_all_of_it() {
    let lab = lab(&tar(&FILES));
    lab.file("/etc/passwd", "app:x:4321:4321::/:/bin/sh\n");
    lab.file("/etc/group", "app:x:4321:\n");
    let of = |name: &str| {
        let name = Some(name.to_owned());
        State::Extracted(Extracted { user: name.clone(), group: name, ..wish() })
    };
    let later = of("nobody-yet");
    assert!(lab.check(&later).await.unwrap().is_some(), "an owner still to come is a change");
    let err = lab.host.apply(&later, &Change::new(ChangeKind::Create, "")).await.unwrap_err();
    assert_eq!(err.to_string(), "there is no user `nobody-yet`");
    assert!(!lab.path("/opt").exists());
    lab.settles(&state()).await;
    assert!(lab.check(&later).await.unwrap().is_some());
    if rustix::process::geteuid().is_root() {
        lab.settles(&of("app")).await;
        for path in ["", "bin", "bin/run", "etc", "current"] {
            let found = fs::symlink_metadata(lab.path("/opt/app").join(path)).unwrap();
            assert_eq!((found.uid(), found.gid()), (4321, 4321), "{path}");
        }
    }
}

#[tokio::test]
async fn an_archive_still_to_come_is_a_change_and_then_an_error() {
    let lab = Lab::new();
    assert!(lab.check(&state()).await.unwrap().is_some());
    let err = lab.host.apply(&state(), &Change::new(ChangeKind::Create, "")).await.unwrap_err();
    assert!(chain(&err).starts_with("could not read the archive `/srv/app.archive`: No such file"));
}
