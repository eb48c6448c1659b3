//! The bytes of a tar inside an archive file, bounded.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
    rc::Rc,
};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

/// Between the contents of two entries stand their headers and long names, never so much.
pub(super) const MOST_BETWEEN: u64 = 1 << 20;
/// Formats that are known only so that they can be named: how they begin, what they are called.
const NOT_READ: [(&[u8], &str); 5] = [
    (b"PK\x03\x04", "zip"),
    (b"Rar!", "rar"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
];

/// How many bytes a [`Tar`] may still give.
#[derive(Debug, Clone, Default)]
pub(super) struct Allowance(Rc<Cell<u64>>);

impl Allowance {
    pub(super) fn set(&self, bytes: u64) {
        self.0.set(bytes);
    }
}

/// The uncompressed bytes. A crafted archive cannot make its reader hold or skip more than what was allowed.
pub(super) struct Tar {
    bytes: Box<dyn Read>,
    allowance: Allowance,
}

impl Tar {
    /// Begins at the start of the file; what it is, its first bytes tell.
    pub(super) fn open(mut file: &File, allowance: &Allowance) -> io::Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        let mut file = BufReader::with_capacity(256 << 10, file.try_clone()?);
        let begin = file.fill_buf()?;
        if let Some((_, name)) = NOT_READ.iter().find(|(magic, _)| begin.starts_with(magic)) {
            return Err(invalid(format!(
                "it is a file of {name}; only tar, tar.gz and tar.zst are unpacked"
            )));
        }
        let bytes: Box<dyn Read> = if begin.starts_with(b"\x1f\x8b") {
            Box::new(MultiGzDecoder::new(file))
        } else if begin.starts_with(b"\x28\xb5\x2f\xfd") {
            Box::new(zstd::Decoder::with_buffer(file)?)
        } else {
            Box::new(file)
        };
        allowance.set(MOST_BETWEEN);
        Ok(Self { bytes, allowance: allowance.clone() })
    }
}

impl Read for Tar {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.allowance.0.get();
        if left == 0 && !buffer.is_empty() {
            return Err(invalid(format!("more than {MOST_BETWEEN} bytes stand between two entries")));
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.bytes.read(&mut buffer[..most])?;
        self.allowance.0.set(left - read as u64);
        Ok(read)
    }
}

/// The digest of a file, in hexadecimal.
pub(super) fn sha256(mut file: &File) -> io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    Ok(hex::encode(copy(file, io::sink())?.1))
}

/// Copies everything; gives its length and its digest.
pub(super) fn copy(mut from: impl Read, mut into: impl io::Write) -> io::Result<(u64, [u8; 32])> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut length = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok((length, digest.finalize().into())),
            Ok(read) => {
                digest.update(&buffer[..read]);
                into.write_all(&buffer[..read])?;
                length += read as u64;
            }
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
}

pub(super) fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// A path of an archive in messages: control characters do not reach a terminal.
pub(super) fn shown(path: &Path) -> String {
    if path.as_os_str().is_empty() {
        return ".".to_owned();
    }
    path.to_string_lossy().escape_debug().to_string()
}
