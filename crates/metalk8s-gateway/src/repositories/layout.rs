use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;

use super::digest::Digest;
use super::open::{OpenError, Opened, open_file};

/// The annotation that names an image: `etcd:3.6.16` (OCI image-spec 1.1, annotations).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Largest index or manifest that is read (OCI distribution-spec 1.1 asks registries to take 4 MiB).
const MAX_MANIFEST: u64 = 4 * 1024 * 1024;
/// Most that the manifests of one archive may take in memory.
const MAX_MANIFESTS_BYTES: u64 = 64 * 1024 * 1024;
/// Most bytes of manifests that are taken apart for one archive; one manifest may belong to many images, and
/// each keeps what it names.
const MAX_PARSED_BYTES: u64 = 16 * 1024 * 1024;
/// How deep indexes may lie in indexes.
const MAX_DEPTH: usize = 4;

/// The images of one archive: all that is needed to answer for them, except the blobs themselves.
///
/// Manifests are kept in memory, and are checked against their digest when they are read.
#[derive(Debug)]
pub(super) struct Layout {
    index: Bytes,
    pub(super) images: BTreeMap<String, Image>,
}

/// One image, in all its versions.
#[derive(Debug, Default)]
pub(super) struct Image {
    pub(super) tags: BTreeMap<String, Digest>,
    pub(super) manifests: HashMap<Digest, Arc<Manifest>>,
    /// Sizes of the blobs that the image's manifests name. Only these are served under its name.
    pub(super) blobs: HashMap<Digest, u64>,
}

/// A manifest, or an index of manifests.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) media_type: String,
    /// `None` if its file is absent, damaged or too large, which was logged.
    pub(super) bytes: Option<Bytes>,
}

/// One line of an image layout's `index.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// Name of the image, without the tag.
    pub image: String,
    /// The tag.
    pub tag: String,
    /// Where its manifest is.
    pub digest: Digest,
    /// The manifest's media type.
    pub media_type: String,
}

/// Why an image layout's `index.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadIndexError {
    /// It cannot be read.
    #[error("could not read `images/index.json`")]
    Read(#[source] io::Error),
    /// It is no index.
    #[error("`images/index.json` is not an OCI image index")]
    Parse(#[source] serde_json::Error),
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct ManifestBody {
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// The named images of an `index.json`, which is untrusted. Entries without a usable name are left out.
pub fn read_index(bytes: &[u8]) -> Result<Vec<IndexEntry>, ReadIndexError> {
    let index: Index = serde_json::from_slice(bytes).map_err(ReadIndexError::Parse)?;
    let entries = index.manifests.into_iter().filter_map(|descriptor| {
        let (image, tag) = descriptor.annotations.get(REF_NAME)?.rsplit_once(':')?;
        (is_image_name(image) && is_tag(tag)).then(|| IndexEntry {
            image: image.to_owned(),
            tag: tag.to_owned(),
            digest: descriptor.digest,
            media_type: descriptor.media_type,
        })
    });
    Ok(entries.collect())
}

/// Whether this is a repository's name (OCI distribution-spec 1.1, "Pulling manifests").
pub(super) fn is_image_name(name: &str) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 255
        && name.split('/').all(|component| {
            let bytes = component.as_bytes();
            bytes.first().is_some_and(|&byte| is_alphanumeric(byte))
                && bytes.last().is_some_and(|&byte| is_alphanumeric(byte))
                && bytes.iter().all(|&byte| is_alphanumeric(byte) || matches!(byte, b'.' | b'_' | b'-'))
        })
}

/// Whether this is a tag.
pub(super) fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

/// Reads the images of an archive; `None` if it has none. What did not change since `previous` is taken from it.
pub(super) fn read_layout(
    root: &Path,
    environment: &str,
    previous: Option<&Arc<Layout>>,
) -> Result<Option<Arc<Layout>>, ReadIndexError> {
    let index = match open_file(root, environment, "images/index.json") {
        Ok(opened) => read_small(opened).map_err(ReadIndexError::Read)?,
        Err(OpenError::Absent) => return Ok(None),
        Err(OpenError::Failed { source, .. }) => return Err(ReadIndexError::Read(source)),
    };
    // A damaged layout is read again although its index stayed the same: somebody may have mended it.
    let known_damage = previous.map(|previous| previous.damage()).unwrap_or_default();
    if let Some(previous) = previous
        && previous.index == index
        && known_damage.is_empty()
    {
        return Ok(Some(Arc::clone(previous)));
    }
    let mut reader = Reader {
        root,
        environment,
        known_damage,
        manifests: HashMap::new(),
        budget: MAX_MANIFESTS_BYTES,
        parse_budget: MAX_PARSED_BYTES,
    };
    let mut images: BTreeMap<String, Image> = BTreeMap::new();
    for entry in read_index(&index)? {
        let image = images.entry(entry.image).or_default();
        reader.add(image, entry.digest, entry.media_type, 0);
        image.tags.insert(entry.tag, entry.digest);
    }
    Ok(Some(Arc::new(Layout { index, images })))
}

impl Layout {
    /// The manifests that could not be read.
    fn damage(&self) -> HashSet<Digest> {
        let manifests = self.images.values().flat_map(|image| &image.manifests);
        manifests.filter(|(_, manifest)| manifest.bytes.is_none()).map(|(digest, _)| *digest).collect()
    }
}

struct Reader<'a> {
    root: &'a Path,
    environment: &'a str,
    /// Was logged when it was found.
    known_damage: HashSet<Digest>,
    manifests: HashMap<Digest, Arc<Manifest>>,
    budget: u64,
    /// 0 once it was exceeded, which is logged then.
    parse_budget: u64,
}

impl Reader<'_> {
    /// Adds a manifest, and what it names, to an image.
    fn add(&mut self, image: &mut Image, digest: Digest, media_type: String, depth: usize) {
        if depth > MAX_DEPTH || image.manifests.contains_key(&digest) {
            return;
        }
        let manifest = self.manifest(digest, media_type);
        image.manifests.insert(digest, Arc::clone(&manifest));
        let Some(bytes) = &manifest.bytes else { return };
        match self.parse_budget.checked_sub(bytes.len() as u64) {
            Some(left) => self.parse_budget = left,
            None => {
                if self.parse_budget > 0 {
                    tracing::error!(
                        environment = self.environment, %digest,
                        "the images of an archive name too much, not all of them can be pulled"
                    );
                }
                self.parse_budget = 0;
                return;
            }
        }
        let body: ManifestBody = match serde_json::from_slice(bytes) {
            Ok(body) => body,
            Err(err) => {
                tracing::error!(
                    environment = self.environment, %digest, error = &err as &dyn std::error::Error,
                    "a manifest is not valid JSON, its image cannot be pulled"
                );
                return;
            }
        };
        for blob in body.config.into_iter().chain(body.layers) {
            image.blobs.insert(blob.digest, blob.size);
        }
        for child in body.manifests {
            self.add(image, child.digest, child.media_type, depth + 1);
        }
    }

    fn manifest(&mut self, digest: Digest, media_type: String) -> Arc<Manifest> {
        if let Some(known) = self.manifests.get(&digest) {
            return Arc::clone(known);
        }
        let bytes = match self.read_blob(digest) {
            Ok(bytes) => Some(bytes),
            Err(err) => {
                if !self.known_damage.contains(&digest) {
                    tracing::error!(
                        environment = self.environment, %digest, error = &err as &dyn std::error::Error,
                        "a manifest is absent or damaged, its image cannot be pulled"
                    );
                }
                None
            }
        };
        let manifest = Arc::new(Manifest { media_type, bytes });
        self.manifests.insert(digest, Arc::clone(&manifest));
        manifest
    }

    fn read_blob(&mut self, digest: Digest) -> io::Result<Bytes> {
        let opened = open_file(self.root, self.environment, &blob_path(digest)).map_err(io::Error::other)?;
        self.budget = self.budget.checked_sub(opened.size).ok_or(io::ErrorKind::OutOfMemory)?;
        let bytes = read_small(opened)?;
        if Digest::of(&bytes) == digest { Ok(bytes) } else { Err(io::Error::other("its bytes were changed")) }
    }
}

/// Where a blob lies in an archive.
pub(super) fn blob_path(digest: Digest) -> String {
    format!("images/blobs/sha256/{}", digest.hex())
}

fn read_small(opened: Opened) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    opened.file.take(MAX_MANIFEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_MANIFEST { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_distribution_spec() {
        for name in ["etcd", "metalk8s-0.1.0/etcd", "a/b_c/d--e", "0"] {
            assert!(is_image_name(name), "{name}");
        }
        for name in ["", "Etcd", "/a", "a/", "a//b", "-a", "a-", ".", "..", "a/../b", "a:b", "a b", "é"] {
            assert!(!is_image_name(name), "{name}");
        }
        assert!(is_tag("3.6.16") && is_tag("_x-Y") && is_tag(&"a".repeat(128)));
        assert!(!is_tag("") && !is_tag(".a") && !is_tag("a/b") && !is_tag(&"a".repeat(129)));
    }

    #[test]
    fn an_index_gives_its_named_images_and_leaves_out_the_rest() {
        let digest = Digest::of(b"");
        let entry = |name: &str| {
            format!(
                r#"{{"mediaType":"m","digest":"{digest}","size":1,"annotations":{{"{REF_NAME}":"{name}"}}}}"#
            )
        };
        let index = format!(
            r#"{{"manifests":[{},{},{},{{"mediaType":"m","digest":"{digest}","size":1}}]}}"#,
            entry("etcd:3.6.16"),
            entry("no-tag"),
            entry("../up:1")
        );
        let expected =
            IndexEntry { image: "etcd".into(), tag: "3.6.16".into(), digest, media_type: "m".into() };
        assert_eq!(read_index(index.as_bytes()).unwrap(), [expected]);
    }

    #[test]
    fn a_manifest_that_many_images_share_does_not_multiply_without_end() {
        let root = tempfile::tempdir().unwrap();
        let archive = root.path().join("x");
        let blobs = archive.join("images/blobs/sha256");
        std::fs::create_dir_all(&blobs).unwrap();
        std::fs::write(archive.join("product.txt"), "").unwrap();
        let layer = Digest::of(b"layer");
        let manifest = format!(
            r#"{{"layers":[{{"mediaType":"m","digest":"{layer}","size":1}}],"pad":"{}"}}"#,
            "x".repeat(3 << 20)
        );
        let digest = Digest::of(manifest.as_bytes());
        std::fs::write(blobs.join(digest.hex()), manifest).unwrap();
        let entry = |number: usize| {
            format!(
                r#"{{"mediaType":"m","digest":"{digest}","size":1,"annotations":{{"{REF_NAME}":"a{number}:1"}}}}"#
            )
        };
        let entries: Vec<String> = (0..50).map(entry).collect();
        let index = format!(r#"{{"manifests":[{}]}}"#, entries.join(","));
        std::fs::write(archive.join("images/index.json"), index).unwrap();
        let layout = read_layout(root.path(), "x", None).unwrap().unwrap();
        assert_eq!(layout.images.len(), 50);
        let complete = layout.images.values().filter(|image| image.blobs.contains_key(&layer)).count();
        assert_eq!(complete, 5);
    }

    #[test]
    fn what_is_no_index_is_refused() {
        for bytes in ["", "[]", "{}", r#"{"manifests":[{"mediaType":"m","digest":"sha256:x","size":1}]}"#] {
            assert!(matches!(read_index(bytes.as_bytes()), Err(ReadIndexError::Parse(_))), "{bytes}");
        }
    }
}
