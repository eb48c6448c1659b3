//! A read-only ISO 9660 reader with Rock Ridge names, enough for archives of ours and safe for any bytes.
//!
//! It exists because an archive must be checked before it is mounted, and because some kernels cannot mount it.
//! Sources: ECMA-119 (volume descriptors, directory records), SUSP 1.12 and RRIP 1.12 (`NM`, `PX`, `CE`).
//!
//! Invariants: reads only inside the file; follows no loop; every count and length has a bound.

mod record;
mod walk;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
};

use crate::source::Kind;

/// Bytes in a logical block; other sizes are legal but nobody writes them.
const BLOCK: u64 = 2048;
/// The first volume descriptor.
const DESCRIPTORS: u64 = 16;
const MOST_DESCRIPTORS: u64 = 64;

/// An ISO file that was opened and whose folders were read.
#[derive(Debug)]
pub struct Iso {
    file: File,
    /// The volume identifier, such as `MetalK8s 0.1.0`.
    volume: String,
    entries: BTreeMap<String, Kind>,
    extents: BTreeMap<String, Vec<Extent>>,
}

/// A piece of a file, in bytes from the beginning of the ISO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    start: u64,
    length: u64,
}

/// Why a file is no ISO that can be read.
#[derive(Debug, thiserror::Error)]
pub enum IsoError {
    /// The file could not be read.
    #[error("the file could not be read")]
    Io(#[from] io::Error),
    /// No primary volume descriptor.
    #[error("it is not an ISO 9660 file")]
    NotIso,
    /// A block size that nobody uses.
    #[error("it has blocks of {0} bytes, only 2048 are supported")]
    BlockSize(u16),
    /// It ends before its contents do.
    #[error("it is truncated: `{what}` ends at byte {end}, the file has {length}")]
    Truncated {
        /// A path, or what else lies there.
        what: String,
        /// Where it should end.
        end: u64,
        /// The length of the file.
        length: u64,
    },
    /// A structure that contradicts itself.
    #[error("the folder `{path}` is damaged: {why}")]
    Damaged {
        /// The folder, `/` for the root.
        path: String,
        /// In what way.
        why: &'static str,
    },
    /// More than an archive can hold.
    #[error("it has more than {most} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        most: usize,
    },
}

impl Iso {
    /// Reads the volume descriptor and all folders.
    pub fn open(file: File) -> Result<Self, IsoError> {
        let length = file.metadata()?.len();
        for number in DESCRIPTORS..DESCRIPTORS + MOST_DESCRIPTORS {
            let start = number * BLOCK;
            if start + BLOCK > length {
                return Err(IsoError::NotIso);
            }
            let mut block = [0; BLOCK as usize];
            file.read_exact_at(&mut block, start)?;
            if &block[1..6] != b"CD001" || block[0] == 255 {
                return Err(IsoError::NotIso);
            }
            if block[0] != 1 {
                continue;
            }
            let size = u16::from_le_bytes([block[128], block[129]]);
            if u64::from(size) != BLOCK {
                return Err(IsoError::BlockSize(size));
            }
            let blocks = u32::from_le_bytes([block[80], block[81], block[82], block[83]]);
            let end = u64::from(blocks) * BLOCK;
            if end > length {
                return Err(IsoError::Truncated { what: "the volume".to_owned(), end, length });
            }
            let volume = String::from_utf8_lossy(&block[40..72]).trim_end().to_owned();
            let contents = walk::walk(&file, length, &block[156..190])?;
            return Ok(Self { file, volume, entries: contents.entries, extents: contents.extents });
        }
        Err(IsoError::NotIso)
    }

    /// The volume identifier.
    pub fn volume(&self) -> &str {
        &self.volume
    }

    /// Everything inside, by path relative to the root.
    pub fn entries(&self) -> &BTreeMap<String, Kind> {
        &self.entries
    }

    /// Opens a regular file; `None` when there is none of that path.
    pub fn open_file(&self, path: &str) -> Option<IsoFile<'_>> {
        let extents = self.extents.get(path)?;
        Some(IsoFile { file: &self.file, extents, done: 0 })
    }
}

/// A file inside an ISO, read from its beginning.
pub struct IsoFile<'a> {
    file: &'a File,
    extents: &'a [Extent],
    done: u64,
}

impl Read for IsoFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some((extent, rest)) = self.extents.split_first() {
            let left = extent.length - self.done;
            if left == 0 {
                self.extents = rest;
                self.done = 0;
                continue;
            }
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let count = self.file.read_at(&mut buffer[..wanted], extent.start + self.done)?;
            if count == 0 && wanted > 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.done += count as u64;
            return Ok(count);
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests;
