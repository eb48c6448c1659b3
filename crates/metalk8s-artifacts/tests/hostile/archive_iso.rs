//! Opened: every path stays inside and its folders are there, every file is read to exactly the length it is
//! said to have, and what is told is not many times larger than the ISO. Shared with the fuzz target
//! `archive_iso`.
//!
//! A case is packed, since an ISO is mostly zeros and changing those finds nothing: each block from the volume
//! descriptors on is a length (two bytes, little-endian) and so many bytes, filled up with zeros to 2048.

use std::io::Read;

use metalk8s_artifacts::{
    Source,
    iso::Iso,
    manifest::is_safe_path,
    source::{Kind, SourceError},
};

use self::one_file::file_with;

#[path = "../../../../fuzz/one_file.rs"]
mod one_file;

const BLOCK: usize = 2048;
/// The first blocks mean nothing in an ISO.
const SYSTEM_AREA: usize = 16;
const MOST_BLOCKS: usize = 512;
/// The shortest record of a folder.
const RECORD: usize = 34;
/// The most that is read of one file, in bytes.
const LIMIT: u64 = 1 << 16;

pub(crate) fn check(packed: &[u8]) {
    let bytes = unpack(packed);
    let Ok(iso) = Iso::open(file_with(&bytes)) else { return };
    // Each character that is no UTF-8 is told by another one of three bytes.
    assert!(iso.volume().len() <= 3 * 32);
    let source = Source::Iso(iso);
    let entries = source.entries().expect("an ISO knows what is inside");
    // Folders may overlap, each may name all records once.
    let records = bytes.len() / RECORD;
    assert!(entries.len() <= records * (bytes.len() / BLOCK));
    for (path, kind) in &entries {
        assert!(is_safe_path(path), "{path:?}");
        if let Some((folder, _)) = path.rsplit_once('/') {
            assert_eq!(entries[folder], Kind::Folder, "{path}");
        }
        match kind {
            Kind::File(length) => check_file(&source, path, *length),
            Kind::Folder | Kind::Other => {
                assert!(matches!(source.read(path, LIMIT), Err(SourceError::Missing(_))), "{path}");
            }
        }
    }
}

fn check_file(source: &Source, path: &str, length: u64) {
    match source.read(path, LIMIT) {
        Ok(contents) => {
            assert_eq!(contents.len() as u64, length, "{path}");
            let mut again = Vec::new();
            let mut reader = source.open_file(path).expect("it was opened before");
            reader.read_to_end(&mut again).expect("it was read before");
            assert!(contents == again, "{path}");
        }
        Err(SourceError::TooLarge { size, limit, .. }) => assert!(size > limit && length >= size, "{path}"),
        Err(err) => panic!("`{path}` of {length} bytes: {err:?}"),
    }
}

fn unpack(mut packed: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; SYSTEM_AREA * BLOCK];
    while let Some((length, rest)) = packed.split_first_chunk::<2>()
        && bytes.len() < MOST_BLOCKS * BLOCK
    {
        let length = usize::from(u16::from_le_bytes(*length)).min(BLOCK).min(rest.len());
        let end = bytes.len() + BLOCK;
        bytes.extend(&rest[..length]);
        bytes.resize(end, 0);
        packed = &rest[length..];
    }
    bytes
}
