//! The file that a backup is: a tar, compressed by gzip.
//!
//! What tells about the rest comes first, so that it can be read without the rest.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Seek, Write},
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use tar::{Archive, Builder, EntryType, Header};

use super::{
    content::{Entry, Kind},
    snapshot::Whole,
};

/// Version of the product, and when it was made.
const METADATA: &str = ".metadata";
/// What `sha256sum --check` reads.
const SUMS: &str = ".sha256sum";
/// What etcd holds, as `etcdctl snapshot save` writes it.
pub(super) const SNAPSHOT: &str = "etcd_snapshot";
/// The most that is read of sums, in bytes.
const SUMS_LIMIT: u64 = 16 << 20;
/// Where GNU tar keeps extended attributes.
const ATTRIBUTE: &str = "SCHILY.xattr.";

/// Writes a backup that is made at this time, in seconds since 1970.
pub(super) fn write(
    sink: impl Write,
    made: u64,
    metadata: &str,
    entries: &[Entry],
    snapshot: &mut File,
    whole: &Whole,
) -> io::Result<()> {
    // What etcd holds has much that repeats: the fastest compression makes a fifth of it.
    let mut tar = Builder::new(GzEncoder::new(BufWriter::new(sink), Compression::fast()));
    let all = format!("{}{}  {SNAPSHOT}\n", sums(entries), whole.sha256);
    for (name, text) in [(METADATA, metadata), (SUMS, &*all)] {
        tar.append_data(
            &mut header(EntryType::Regular, 0o600, made, text.len() as u64),
            name,
            text.as_bytes(),
        )?;
    }
    for entry in entries {
        append(&mut tar, entry)?;
    }
    snapshot.rewind()?;
    let mut own = header(EntryType::Regular, 0o600, made, whole.bytes);
    tar.append_data(&mut own, SNAPSHOT, snapshot.take(whole.bytes))?;
    tar.into_inner()?.finish()?.flush()
}

/// The lines of `sha256sum` about the files of a node.
pub(super) fn sums(entries: &[Entry]) -> String {
    entries.iter().filter_map(Entry::sum).map(|line| line + "\n").collect()
}

/// The same of a backup, and about what etcd held.
///
/// # Errors
/// When it cannot be read, or is none.
pub(super) fn read_sums(backup: impl Read) -> io::Result<String> {
    let mut archive = Archive::new(GzDecoder::new(backup));
    for entry in archive.entries()?.take(2) {
        let entry = entry?;
        if entry.path_bytes().as_ref() == SUMS.as_bytes() {
            let mut text = String::new();
            entry.take(SUMS_LIMIT).read_to_string(&mut text)?;
            return Ok(text);
        }
    }
    Err(io::Error::other(format!("it does not begin with `{METADATA}` and `{SUMS}`")))
}

fn append(tar: &mut Builder<impl Write>, entry: &Entry) -> io::Result<()> {
    let attributes = entry.attributes.iter().map(|(name, value)| (format!("{ATTRIBUTE}{name}"), value));
    let attributes: Vec<_> = attributes.collect();
    tar.append_pax_extensions(attributes.iter().map(|(name, value)| (name.as_str(), value.as_slice())))?;
    let (kind, size) = match &entry.kind {
        Kind::Folder => (EntryType::Directory, 0),
        Kind::Link(_) => (EntryType::Symlink, 0),
        Kind::File { bytes, .. } => (EntryType::Regular, bytes.len() as u64),
    };
    let mut header = header(kind, entry.mode, entry.modified, size);
    header.set_uid(entry.user.into());
    header.set_gid(entry.group.into());
    match &entry.kind {
        Kind::Folder => tar.append_data(&mut header, format!("{}/", entry.name), io::empty()),
        Kind::Link(target) => tar.append_link(&mut header, &entry.name, target),
        Kind::File { bytes, .. } => tar.append_data(&mut header, &entry.name, bytes.as_slice()),
    }
}

fn header(kind: EntryType, mode: u32, modified: u64, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(modified);
    header.set_size(size);
    header
}
