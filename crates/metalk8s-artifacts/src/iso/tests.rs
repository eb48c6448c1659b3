//! Against what xorriso writes, and against bytes that nobody honest writes.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use super::*;

/// A tree with long names, a deep folder, many files in one folder, an empty file and a link.
fn tree(root: &Path) {
    let deep = root.join("a/b/c/d/e/f/g/h/i");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("deep.txt"), "deep").unwrap();
    fs::write(root.join("product.txt"), "NAME=MetalK8s\n").unwrap();
    fs::write(root.join(format!("{}.name", "long".repeat(60))), "long").unwrap();
    fs::write(root.join("empty"), "").unwrap();
    fs::create_dir(root.join("many")).unwrap();
    for number in 0..200 {
        fs::write(root.join(format!("many/file-with-a-name-{number:04}")), number.to_string()).unwrap();
    }
    fs::write(root.join("large"), vec![7; 3 << 20]).unwrap();
    std::os::unix::fs::symlink("large", root.join("link")).unwrap();
}

fn iso(options: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (root, out) = (folder.path().join("root"), folder.path().join("x.iso"));
    fs::create_dir(&root).unwrap();
    tree(&root);
    let status = Command::new("xorriso")
        .args(["-as", "mkisofs", "-quiet", "-V", "MetalK8s 1.2.3", "-iso-level", "3"])
        .args(options)
        .arg("-o")
        .args([&out, &root])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    fs::read(out).unwrap()
}

fn open(bytes: &[u8]) -> Result<Iso, IsoError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Iso::open(file)
}

fn read(iso: &Iso, path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    iso.open_file(path).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn everything_that_xorriso_wrote_is_read() {
    for options in [&["-R"][..], &["-R", "-J", "-joliet-long"]] {
        let iso = open(&iso(options)).unwrap();
        assert_eq!(iso.volume(), "MetalK8s 1.2.3");
        assert_eq!(read(&iso, "product.txt"), b"NAME=MetalK8s\n");
        assert_eq!(read(&iso, "a/b/c/d/e/f/g/h/i/deep.txt"), b"deep");
        assert_eq!(read(&iso, &format!("{}.name", "long".repeat(60))), b"long");
        assert_eq!(read(&iso, "empty"), b"");
        assert_eq!(read(&iso, "large"), vec![7; 3 << 20]);
        for number in 0..200 {
            let path = format!("many/file-with-a-name-{number:04}");
            assert_eq!(read(&iso, &path), number.to_string().as_bytes());
        }
        assert_eq!(iso.entries()["link"], Kind::Other);
        assert_eq!(iso.entries()["many"], Kind::Folder);
        assert_eq!(iso.entries().len(), 216);
        assert!(iso.open_file("many").is_none());
        assert!(iso.open_file("nothing").is_none());
    }
}

#[test]
fn without_rock_ridge_plain_names_are_in_lower_case() {
    let folder = tempfile::tempdir().unwrap();
    let (root, out) = (folder.path().join("root"), folder.path().join("x.iso"));
    fs::create_dir(&root).unwrap();
    fs::write(root.join("product.txt"), "x").unwrap();
    let mut command = Command::new("xorriso");
    command.args(["-as", "mkisofs", "--norock", "-quiet", "-o"]).args([&out, &root]).stderr(Stdio::null());
    assert!(command.status().unwrap().success());
    let iso = open(&fs::read(&out).unwrap()).unwrap();
    assert_eq!(read(&iso, "product.txt"), b"x");
}

#[test]
fn other_files_are_no_iso() {
    for bytes in [vec![], vec![0; 100], vec![0; 100 * 2048], b"CD001".repeat(20_000)] {
        assert!(matches!(open(&bytes), Err(IsoError::NotIso)));
    }
}

#[test]
fn a_truncated_iso_is_named_so() {
    let whole = iso(&["-R"]);
    for length in [whole.len() - 2048, whole.len() / 2, 40 * 2048] {
        let error = open(&whole[..length]).unwrap_err();
        assert!(matches!(error, IsoError::Truncated { .. }), "{length}: {error}");
    }
}

#[test]
fn cut_anywhere_it_is_an_error_and_never_a_crash() {
    let mut whole = iso(&["-R"]);
    // An ISO that does not tell its own length.
    whole[16 * 2048 + 80..16 * 2048 + 84].fill(0);
    for length in (0..whole.len().min(400 * 2048)).step_by(1000) {
        let _ = open(&whole[..length]).map(|iso| assert!(iso.entries().len() < 1000));
    }
}

#[test]
fn flipped_bytes_in_folders_never_crash_or_hang() {
    let whole = iso(&["-R"]);
    // A small generator with a fixed seed: the cases are the same in each run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let structures = 120 * 2048;
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..=random(4) {
            let at = 16 * 2048 + random(structures - 16 * 2048);
            bytes[at] = random(256) as u8;
        }
        if let Ok(iso) = open(&bytes) {
            for path in iso.entries().keys() {
                let reader = iso.open_file(path);
                let _ = reader.map(|reader| reader.take(1 << 16).read_to_end(&mut Vec::new()));
            }
        }
    }
}

/// A minimal ISO: one volume descriptor, and a root folder with the records given.
fn by_hand(records: &[Vec<u8>], root_length: u32) -> Vec<u8> {
    let mut bytes = vec![0; 20 * 2048];
    bytes[16 * 2048] = 1;
    bytes[16 * 2048 + 1..16 * 2048 + 6].copy_from_slice(b"CD001");
    bytes[16 * 2048 + 128..16 * 2048 + 130].copy_from_slice(&2048u16.to_le_bytes());
    let root = directory_record(b"\0", 18, root_length, 2);
    bytes[16 * 2048 + 156..16 * 2048 + 156 + root.len()].copy_from_slice(&root);
    bytes[17 * 2048] = 255;
    let mut at = 18 * 2048;
    for record in records {
        bytes[at..at + record.len()].copy_from_slice(record);
        at += record.len();
    }
    bytes
}

fn directory_record(name: &[u8], block: u32, length: u32, flags: u8) -> Vec<u8> {
    let mut record = vec![0; 33];
    record[2..6].copy_from_slice(&block.to_le_bytes());
    record[10..14].copy_from_slice(&length.to_le_bytes());
    record[25] = flags;
    record[32] = name.len() as u8;
    record.extend(name);
    if record.len() % 2 == 1 {
        record.push(0);
    }
    record[0] = record.len() as u8;
    record
}

#[test]
fn a_folder_that_contains_itself_is_refused() {
    let bytes = by_hand(&[directory_record(b"LOOP", 18, 2048, 2)], 2048);
    assert!(matches!(open(&bytes), Err(IsoError::Damaged { why: "it is part of a loop", .. })));
}

#[test]
fn names_that_climb_are_refused() {
    for name in [&b".."[..], b"A/B", b".", b"A\\B"] {
        let bytes = by_hand(&[directory_record(name, 19, 1, 0)], 2048);
        assert!(matches!(open(&bytes), Err(IsoError::Damaged { .. })), "{name:?}");
    }
}

#[test]
fn sizes_beyond_the_file_are_refused_before_memory_is_taken() {
    let file = by_hand(&[directory_record(b"HUGE", 19, u32::MAX, 0)], 2048);
    assert!(matches!(open(&file), Err(IsoError::Truncated { .. })));
    let root = by_hand(&[], u32::MAX);
    assert!(matches!(open(&root), Err(IsoError::Truncated { .. })));
    let far = by_hand(&[directory_record(b"FAR", u32::MAX, 1, 0)], 2048);
    assert!(matches!(open(&far), Err(IsoError::Truncated { .. })));
}

#[test]
fn folders_that_overlap_are_not_read_without_end() {
    let folder = |number: u8| directory_record(&[b'A' + number], 20 + u32::from(number), 60 << 20, 2);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&by_hand(&(0..20).map(folder).collect::<Vec<_>>(), 2048)).unwrap();
    file.set_len(64 << 20).unwrap();
    let error = Iso::open(file).unwrap_err();
    assert!(matches!(error, IsoError::TooMany { what: "bytes of folders", .. }), "{error}");
}

#[test]
fn a_name_that_stands_there_twice_is_refused() {
    let record = directory_record(b"A", 19, 1, 0);
    let bytes = by_hand(&[record.clone(), record], 2048);
    assert!(matches!(open(&bytes), Err(IsoError::Damaged { why: "a name stands there twice", .. })));
}

#[test]
fn a_file_in_several_pieces_is_read_as_one() {
    let pieces = [directory_record(b"A", 19, 5, 0x80), directory_record(b"A", 19, 3, 0)];
    let mut bytes = by_hand(&pieces, 2048);
    bytes[19 * 2048..19 * 2048 + 5].copy_from_slice(b"abcde");
    let iso = open(&bytes).unwrap();
    assert_eq!(read(&iso, "a"), b"abcdeabc");
    let endless = by_hand(&[pieces[0].clone(), directory_record(b"B", 19, 3, 0)], 2048);
    assert!(open(&endless).is_err());
    assert!(open(&by_hand(&pieces[..1], 2048)).is_err());
}

#[test]
fn nothing_is_a_file_and_a_folder_at_once() {
    let piece = directory_record(b"A", 19, 5, 0x80);
    for second in [directory_record(b"A", 19, 2048, 2), directory_record(b"A", 19, 2048, 0x82)] {
        let error = open(&by_hand(&[piece.clone(), second], 2048)).unwrap_err();
        assert!(matches!(error, IsoError::Damaged { .. }), "{error}");
    }
    let folder = directory_record(b"A", 19, 2048, 0x82);
    assert!(open(&by_hand(&[folder, piece], 2048)).is_err());
}
