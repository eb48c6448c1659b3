//! What etcd holds, as it tells it: a file of its own format, followed by the SHA-256 of it (etcd documentation,
//! "Disaster recovery").

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, Write},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// How long the sum at the end is, in bytes.
const SUM: u64 = 32;
/// The longest line that is read; etcd sends 32 KiB in each.
const LINE_LIMIT: usize = 1 << 20;

/// Writes what is in the lines of etcd's answer to a sink.
pub(super) struct Parts<W> {
    sink: W,
    line: Vec<u8>,
}

/// A line of the answer (etcd documentation, "gRPC gateway").
#[derive(Deserialize)]
struct Line {
    result: Option<Part>,
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Part {
    /// In base64.
    #[serde(default)]
    blob: String,
}

/// A snapshot that is whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Whole {
    /// Of all of it.
    pub(super) sha256: String,
    pub(super) bytes: u64,
}

impl<W: Write> Parts<W> {
    pub(super) fn new(sink: W) -> Self {
        Self { sink, line: Vec::new() }
    }

    fn end_line(&mut self) -> io::Result<()> {
        let line: Line = serde_json::from_slice(&self.line)?;
        self.line.clear();
        if let Some(error) = line.error {
            return Err(io::Error::other(format!(
                "etcd says: {}",
                error["message"].as_str().unwrap_or("nothing")
            )));
        }
        let part = line.result.ok_or_else(|| io::Error::other("etcd says nothing"))?;
        self.sink.write_all(&STANDARD.decode(part.blob).map_err(io::Error::other)?)
    }
}

impl<W: Write> Write for Parts<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + piece.len() > LINE_LIMIT {
                return Err(io::Error::other(format!("a line has more than {LINE_LIMIT} bytes")));
            }
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.end_line()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// Compares a snapshot with the sum at its end; `None` where it is another.
pub(super) fn verify(snapshot: &mut File) -> io::Result<Option<Whole>> {
    let bytes = snapshot.metadata()?.len();
    let Some(held) = bytes.checked_sub(SUM).filter(|held| *held > 0) else { return Ok(None) };
    snapshot.rewind()?;
    let mut reader = BufReader::with_capacity(1 << 20, snapshot);
    let mut hash = Sha256::new();
    io::copy(&mut (&mut reader).take(held), &mut HashWriter(&mut hash))?;
    let found = hash.clone().finalize();
    let mut told = [0; SUM as usize];
    reader.read_exact(&mut told)?;
    hash.update(told);
    Ok((found.as_slice() == told).then(|| Whole { sha256: hex::encode(hash.finalize()), bytes }))
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_lines_is_put_together_wherever_they_are_cut() {
        let text = concat!(
            r#"{"result":{"header":{"revision":"7"},"remaining_bytes":"5","blob":"aGVs","version":"3.6.0"}}"#,
            "\n",
            r#"{"result":{"blob":"bG8="}}"#,
            "\n"
        );
        for size in [1, 7, 50, text.len()] {
            let mut found = Vec::new();
            let mut parts = Parts::new(&mut found);
            for piece in text.as_bytes().chunks(size) {
                parts.write_all(piece).unwrap();
            }
            assert_eq!(found, b"hello", "{size}");
        }
    }

    #[test]
    fn what_etcd_refuses_or_nobody_understands_is_an_error() {
        let refused = r#"{"error":{"code":14,"message":"etcdserver: no leader"}}"#;
        for (line, words) in [
            (refused, "etcdserver: no leader"),
            ("{}", "says nothing"),
            ("{", "EOF"),
            (r#"{"result":{"blob":"?"}}"#, "Invalid symbol"),
        ] {
            let mut found = Vec::new();
            let error = Parts::new(&mut found).write_all(format!("{line}\n").as_bytes()).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert!(found.is_empty());
        }
        let endless = vec![b'x'; LINE_LIMIT + 1];
        assert!(Parts::new(io::sink()).write_all(&endless).unwrap_err().to_string().contains("more than"));
    }
}
