//! Reads all folders of an ISO into one sorted list.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    os::unix::fs::FileExt,
};

use super::{
    BLOCK, Extent, IsoError,
    record::{self, Record},
};
use crate::{manifest::is_safe_path, source::Kind};

const MOST_ENTRIES: usize = 500_000;
const MOST_DEPTH: usize = 64;
const LONGEST_FOLDER: u64 = 64 * 1024 * 1024;
/// Folders may overlap, so that together they are larger than the file.
const MOST_FOLDER_BYTES: u64 = 256 * 1024 * 1024;
const MOST_CONTINUATIONS: usize = 16;

/// All that is inside.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) entries: BTreeMap<String, Kind>,
    pub(super) extents: BTreeMap<String, Vec<Extent>>,
}

struct Folder {
    path: String,
    depth: usize,
    extent: Extent,
}

struct Walk<'a> {
    file: &'a File,
    length: u64,
    skip: usize,
    contents: Contents,
    seen: BTreeSet<u64>,
    /// Bytes of folders that were read.
    folder_bytes: u64,
    waiting: Vec<Folder>,
}

/// Walks from the root's directory record, as the volume descriptor holds it.
pub(super) fn walk(file: &File, length: u64, root: &[u8]) -> Result<Contents, IsoError> {
    let damaged = |why| IsoError::Damaged { path: "/".to_owned(), why };
    let root = record::parse(root, 0).map_err(damaged)?;
    let extent = extent_of("/", &root, length)?;
    let mut walk = Walk {
        file,
        length,
        skip: 0,
        contents: Contents::default(),
        seen: BTreeSet::new(),
        folder_bytes: 0,
        waiting: vec![Folder { path: String::new(), depth: 0, extent }],
    };
    while let Some(folder) = walk.waiting.pop() {
        walk.folder(&folder)?;
    }
    Ok(walk.contents)
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Folder) -> Result<(), IsoError> {
        let shown = if folder.path.is_empty() { "/" } else { &folder.path };
        let damaged = |why| IsoError::Damaged { path: shown.to_owned(), why };
        if !self.seen.insert(folder.extent.start) {
            return Err(damaged("it is part of a loop"));
        }
        if folder.depth > MOST_DEPTH || folder.extent.length > LONGEST_FOLDER {
            return Err(damaged("it is too deep or too large"));
        }
        self.folder_bytes += folder.extent.length;
        if self.folder_bytes > MOST_FOLDER_BYTES {
            return Err(IsoError::TooMany { what: "bytes of folders", most: MOST_FOLDER_BYTES as usize });
        }
        let mut bytes = vec![0; folder.extent.length as usize];
        self.file.read_exact_at(&mut bytes, folder.extent.start)?;
        let mut part_of: Option<String> = None;
        for raw in records(&bytes) {
            let raw = raw.map_err(damaged)?;
            if folder.depth == 0 && raw.get(33) == Some(&0) && raw[32] == 1 {
                self.skip = record::susp_skip(raw).unwrap_or(0);
            }
            let mut record = record::parse(raw, self.skip).map_err(damaged)?;
            if record.special {
                continue;
            }
            self.continuations(&mut record).map_err(|why| match why {
                Continuation::Io(err) => IsoError::Io(err),
                Continuation::Damaged(why) => damaged(why),
            })?;
            let name = std::str::from_utf8(&record.name).map_err(|_| damaged("a name is not UTF-8"))?;
            let path =
                if folder.path.is_empty() { name.to_owned() } else { format!("{}/{name}", folder.path) };
            if name.contains('/') || !is_safe_path(&path) {
                return Err(damaged("a name cannot be used"));
            }
            part_of = self.entry(folder, path, &record, part_of.as_deref()).map_err(|err| match err {
                Entry::Damaged(why) => damaged(why),
                Entry::Iso(err) => err,
            })?;
        }
        if part_of.is_some() {
            return Err(damaged("a file in several pieces has no end"));
        }
        Ok(())
    }

    /// Takes one entry; gives its path when the next record continues it.
    fn entry(
        &mut self,
        folder: &Folder,
        path: String,
        record: &Record,
        part_of: Option<&str>,
    ) -> Result<Option<String>, Entry> {
        let extent = extent_of(&path, record, self.length).map_err(Entry::Iso)?;
        let continues_former = part_of == Some(path.as_str());
        if part_of.is_some() && !continues_former {
            return Err(Entry::Damaged("a file in several pieces has no end"));
        }
        if !continues_former && self.contents.entries.contains_key(&path) {
            return Err(Entry::Damaged("a name stands there twice"));
        }
        if self.contents.entries.len() >= MOST_ENTRIES {
            return Err(Entry::Iso(IsoError::TooMany { what: "entries", most: MOST_ENTRIES }));
        }
        let format = record.mode.map(|mode| mode & 0o170000);
        let regular = matches!((record.folder, format), (false, None | Some(0o100000)));
        if !regular && (continues_former || record.continues) {
            return Err(Entry::Damaged("something else than a file is in several pieces"));
        }
        let kind = match (record.folder, format) {
            (true, None | Some(0o040000)) => {
                let depth = folder.depth + 1;
                self.waiting.push(Folder { path: path.clone(), depth, extent });
                Kind::Folder
            }
            (false, None | Some(0o100000)) => {
                let extents = self.contents.extents.entry(path.clone()).or_default();
                if extents.len() >= 1024 {
                    return Err(Entry::Damaged("a file has too many pieces"));
                }
                extents.push(extent);
                Kind::File(extents.iter().map(|extent| extent.length).sum())
            }
            _ => Kind::Other,
        };
        self.contents.entries.insert(path.clone(), kind);
        Ok(record.continues.then_some(path))
    }

    /// Follows `CE` fields; they lead to areas that hold the rest of a long name.
    fn continuations(&self, record: &mut Record) -> Result<(), Continuation> {
        let mut long_name = Vec::new();
        for _ in 0..MOST_CONTINUATIONS {
            let Some((block, offset, length)) = record.more else { return Ok(()) };
            let start = u64::from(block) * BLOCK + u64::from(offset);
            if u64::from(length) > BLOCK || start + u64::from(length) > self.length {
                return Err(Continuation::Damaged("a system use area leaves the file"));
            }
            let mut bytes = vec![0; length as usize];
            self.file.read_exact_at(&mut bytes, start).map_err(Continuation::Io)?;
            if long_name.is_empty() && record.long {
                long_name.clone_from(&record.name);
            }
            record.fields(&bytes, &mut long_name).map_err(Continuation::Damaged)?;
            record.take_name(long_name.clone());
        }
        Err(Continuation::Damaged("system use areas go on without end"))
    }
}

enum Entry {
    Damaged(&'static str),
    Iso(IsoError),
}

enum Continuation {
    Damaged(&'static str),
    Io(std::io::Error),
}

/// The records of a folder. A record never crosses a block; a zero length means: go on at the next block.
fn records(bytes: &[u8]) -> impl Iterator<Item = Result<&[u8], &'static str>> {
    bytes.chunks(BLOCK as usize).flat_map(|block| {
        let mut rest = block;
        std::iter::from_fn(move || {
            let length = usize::from(*rest.first()?);
            if length == 0 {
                return None;
            }
            if length > rest.len() {
                rest = &[];
                return Some(Err("a record leaves its block"));
            }
            let (record, after) = rest.split_at(length);
            rest = after;
            Some(Ok(record))
        })
    })
}

fn extent_of(path: &str, record: &Record, length: u64) -> Result<Extent, IsoError> {
    let extent = Extent { start: u64::from(record.block) * BLOCK, length: u64::from(record.length) };
    let end = extent.start + extent.length;
    if end > length && extent.length > 0 {
        return Err(IsoError::Truncated { what: path.to_owned(), end, length });
    }
    Ok(extent)
}
