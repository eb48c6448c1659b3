//! `manifest.json`: every file of the archive with its size and digest, and what the archive offers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{digest::is_sha256, product::is_version};

/// Name of the manifest at the root of an archive.
pub const MANIFEST: &str = "manifest.json";
/// Name of its detached signature.
pub const SIGNATURE: &str = "manifest.json.sig";
/// The largest manifest that is read, in bytes.
pub const LIMIT: u64 = 32 * 1024 * 1024;
/// The schema that this program writes and reads.
pub const SCHEMA: u32 = 1;
const MOST_FILES: usize = 200_000;
const LONGEST_PATH: usize = 1024;
/// Characters of a foreign text in a message.
const LONGEST_SHOWN: usize = 80;

/// The contents of an archive. [`MANIFEST`] and [`SIGNATURE`] themselves are not among the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `MetalK8s`.
    pub name: String,
    /// The product version.
    pub version: String,
    /// Versions of the components by name, such as `kubernetes` to `1.35.4`.
    pub components: BTreeMap<String, String>,
    /// Images by name, such as `etcd`.
    pub images: BTreeMap<String, ImageEntry>,
    /// Per repository (`debian/bookworm`, `redhat/9`) the exact version of each package.
    pub packages: BTreeMap<String, BTreeMap<String, String>>,
    /// Files by path relative to the root, without a leading slash.
    pub files: BTreeMap<String, FileEntry>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageEntry {
    /// Its tag, such as `3.6.16`.
    pub tag: String,
    /// The digest of its manifest, `sha256:...`.
    pub digest: String,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its length in bytes.
    pub size: u64,
    /// The digest of its bytes, 64 hexadecimal digits.
    pub sha256: String,
}

/// Why bytes are no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not of this shape.
    #[error("`{MANIFEST}` is not readable")]
    Json(#[source] serde_json::Error),
    /// Written by a later version.
    #[error("`{MANIFEST}` has schema {found}, this program reads schema {SCHEMA}")]
    Schema {
        /// What it says.
        found: u32,
    },
    /// A value that must not be used.
    #[error("`{MANIFEST}` has the {what} `{value}`, which is none")]
    Value {
        /// What it should be.
        what: &'static str,
        /// What it is, shortened and without control characters.
        value: String,
    },
    /// More than an archive can hold.
    #[error("`{MANIFEST}` lists {found} files, more than {MOST_FILES}")]
    TooMany {
        /// How many.
        found: usize,
    },
}

impl Manifest {
    /// Reads and checks a manifest: names and digests are safe to use as paths afterwards.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Head {
            schema: u32,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(ManifestError::Json)?;
        if head.schema != SCHEMA {
            return Err(ManifestError::Schema { found: head.schema });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(ManifestError::Json)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The bytes of `manifest.json`: keys sorted, indented, with a final newline.
    pub fn render(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a manifest has only text keys and no floats");
        bytes.push(b'\n');
        bytes
    }

    fn check(&self) -> Result<(), ManifestError> {
        let refuse = |what, value: &str| Err(ManifestError::Value { what, value: shown(value) });
        if !is_version(&self.version) {
            return refuse("version", &self.version);
        }
        if self.files.len() > MOST_FILES {
            return Err(ManifestError::TooMany { found: self.files.len() });
        }
        for (name, image) in &self.images {
            if !is_name(name) {
                return refuse("image", name);
            }
            if !is_name(&image.tag) {
                return refuse("tag", &image.tag);
            }
            if !image.digest.strip_prefix("sha256:").is_some_and(is_sha256) {
                return refuse("digest", &image.digest);
            }
        }
        for (path, file) in &self.files {
            if !is_safe_path(path) {
                return refuse("path", path);
            }
            if !is_sha256(&file.sha256) {
                return refuse("digest", &file.sha256);
            }
        }
        Ok(())
    }
}

/// Foreign text as it may stand in a message that is printed.
pub(crate) fn shown(text: &str) -> String {
    text.chars()
        .take(LONGEST_SHOWN)
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

/// Whether `path` stays inside the folder it is relative to, on every system.
pub fn is_safe_path(path: &str) -> bool {
    !path.is_empty()
        && path.len() <= LONGEST_PATH
        && !path.chars().any(|c| c.is_control() || c == '\\')
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Manifest {
        Manifest {
            schema: SCHEMA,
            name: "MetalK8s".into(),
            version: "0.1.0".into(),
            components: [("etcd".into(), "3.6.16".into())].into(),
            images: [(
                "etcd".into(),
                ImageEntry { tag: "3.6.16".into(), digest: format!("sha256:{}", "0".repeat(64)) },
            )]
            .into(),
            packages: BTreeMap::new(),
            files: [("product.txt".into(), FileEntry { size: 3, sha256: "a".repeat(64) })].into(),
        }
    }

    #[test]
    fn what_is_rendered_is_read_again() {
        assert_eq!(Manifest::parse(&example().render()).unwrap(), example());
    }

    #[test]
    fn paths_that_leave_the_archive_are_refused() {
        for path in ["../x", "/etc/passwd", "a//b", "a/../b", "./a", "", "a\\b", "a\nb"] {
            let mut manifest = example();
            manifest.files.insert(path.into(), FileEntry { size: 0, sha256: "a".repeat(64) });
            let error = Manifest::parse(&manifest.render()).unwrap_err();
            assert!(matches!(error, ManifestError::Value { what: "path", .. }), "{path:?}: {error}");
        }
    }

    #[test]
    fn a_digest_that_is_no_digest_is_refused() {
        let mut manifest = example();
        manifest.files.insert("x".into(), FileEntry { size: 0, sha256: "../../x".into() });
        assert!(Manifest::parse(&manifest.render()).is_err());
    }

    #[test]
    fn a_later_schema_is_named() {
        let error = Manifest::parse(br#"{"schema": 7}"#).unwrap_err();
        assert!(matches!(error, ManifestError::Schema { found: 7 }));
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_crash() {
        let mut bytes = br#"{"schema":1,"name":"#.to_vec();
        bytes.extend(vec![b'['; 1 << 20]);
        assert!(matches!(Manifest::parse(&bytes), Err(ManifestError::Json(_))));
    }
}
