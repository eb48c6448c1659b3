//! One image of an OCI image layout (<https://github.com/opencontainers/image-spec>), as a tar stream.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

/// Manifests are a few kilobytes; containerd itself takes no more than this.
const MOST_MANIFEST: u64 = 4 << 20;
/// An index names manifests of platforms, not other indexes.
const MOST_DEPTH: u8 = 2;

/// Everything of an image.
#[derive(Debug)]
pub(super) struct LaidOut {
    media_type: String,
    size: u64,
    /// The first is the image's own manifest.
    blobs: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    media_type: Option<String>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

/// Finds all blobs of the image with this digest.
pub(super) fn read(layout: &Path, digest: &str) -> io::Result<LaidOut> {
    let mut image = LaidOut { media_type: String::new(), size: 0, blobs: Vec::new() };
    let (manifest, size) = manifest(layout, digest)?;
    image.size = size;
    image.media_type = manifest.media_type.clone().unwrap_or_else(|| {
        let kind = if manifest.config.is_some() { "manifest" } else { "index" };
        format!("application/vnd.oci.image.{kind}.v1+json")
    });
    collect(layout, digest, manifest, MOST_DEPTH, &mut image.blobs)?;
    let mut seen = BTreeSet::new();
    image.blobs.retain(|blob| seen.insert(blob.clone()));
    Ok(image)
}

/// Writes the image as an archive of a layout that holds nothing else.
pub(super) fn send(layout: &Path, image: &LaidOut, reference: &str, into: impl Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(io::BufWriter::with_capacity(256 << 10, into));
    let manifest = image.blobs.first().map(String::as_str).unwrap_or_default();
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": image.media_type,
            "digest": manifest,
            "size": image.size,
            "annotations": {
                "io.containerd.image.name": reference,
                "org.opencontainers.image.ref.name": reference,
            },
        }],
    });
    for (name, text) in [
        ("oci-layout", json!({"imageLayoutVersion": "1.0.0"}).to_string()),
        ("index.json", index.to_string()),
    ] {
        append(&mut archive, Path::new(name), text.len() as u64, text.as_bytes())?;
    }
    for digest in &image.blobs {
        let relative = blob(digest)?;
        let file = open(layout, digest)?;
        let size = file.metadata()?.len();
        append(&mut archive, &relative, size, file)?;
    }
    archive.into_inner()?.flush()
}

/// Whether every blob is what its name says; the error names the first that is not.
pub(super) fn verify(layout: &Path, image: &LaidOut) -> io::Result<()> {
    for digest in &image.blobs {
        let mut file = open(layout, digest)?;
        let mut found = Sha256::new();
        let mut buffer = vec![0; 256 << 10];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => found.update(&buffer[..read]),
            }
        }
        if format!("sha256:{}", hex::encode(found.finalize())) != *digest {
            let path = layout.join(blob(digest)?);
            return Err(invalid(format!("the file `{}` is damaged", path.display())));
        }
    }
    Ok(())
}

fn append(archive: &mut tar::Builder<impl Write>, name: &Path, size: u64, from: impl Read) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    // A file that shrinks meanwhile must not shift what follows.
    let mut exact = Exact { from: from.take(size), left: size };
    archive.append_data(&mut header, name, &mut exact)
}

/// A reader whose early end is an error.
struct Exact<R> {
    from: io::Take<R>,
    left: u64,
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.left -= read as u64;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(read)
    }
}

fn collect(
    layout: &Path,
    digest: &str,
    manifest: Manifest,
    depth: u8,
    blobs: &mut Vec<String>,
) -> io::Result<()> {
    blobs.push(digest.to_owned());
    blobs.extend(manifest.config.into_iter().chain(manifest.layers).map(|part| part.digest));
    for part in manifest.manifests {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(invalid(format!("the image index `{digest}` is nested too deeply")));
        };
        let (manifest, _) = self::manifest(layout, &part.digest)?;
        collect(layout, &part.digest, manifest, depth, blobs)?;
    }
    Ok(())
}

fn manifest(layout: &Path, digest: &str) -> io::Result<(Manifest, u64)> {
    let mut bytes = Vec::new();
    open(layout, digest)?.take(MOST_MANIFEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_MANIFEST {
        return Err(invalid(format!("the manifest `{digest}` is larger than {MOST_MANIFEST} bytes")));
    }
    let manifest = serde_json::from_slice(&bytes)
        .map_err(|err| invalid(format!("the manifest `{digest}` cannot be read: {err}")))?;
    Ok((manifest, bytes.len() as u64))
}

fn open(layout: &Path, digest: &str) -> io::Result<File> {
    let path = layout.join(blob(digest)?);
    File::open(&path)
        .map_err(|err| io::Error::new(err.kind(), format!("could not open `{}`: {err}", path.display())))
}

/// Where a blob lies. Digests come from files: only a real one becomes a path.
fn blob(digest: &str) -> io::Result<PathBuf> {
    match digest.strip_prefix("sha256:") {
        Some(hex) if hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) => {
            Ok(["blobs", "sha256", hex].iter().collect())
        }
        _ => Err(invalid(format!("`{digest}` is no digest of sha256"))),
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digests_become_paths() {
        let hex = "a".repeat(64);
        assert_eq!(blob(&format!("sha256:{hex}")).unwrap(), Path::new("blobs/sha256").join(&hex));
        for digest in
            ["sha256:../../../etc/passwd", "sha256:", "sha512:aa", &format!("sha256:{}", "A".repeat(64))]
        {
            assert!(blob(digest).is_err(), "{digest}");
        }
    }

    #[test]
    fn a_blob_that_ends_early_is_an_error() {
        let mut archive = tar::Builder::new(Vec::new());
        let err = append(&mut archive, Path::new("x"), 10, &b"short"[..]).unwrap_err();
        assert_eq!(err.kind(), io::ErrorKind::UnexpectedEof);
    }
}
