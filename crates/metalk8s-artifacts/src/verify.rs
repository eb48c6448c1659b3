//! Walks an archive and names everything that is not as it was signed.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    archive::PRODUCT_FILE,
    digest::sha256_of,
    manifest::{self, FileEntry, MANIFEST, Manifest, SIGNATURE},
    product::{self, Product},
    signature::{self, PUBLIC_KEY, SignatureError},
    source::{Kind, Source},
};

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "problem", rename_all = "kebab-case")]
pub enum Problem {
    /// The archive could not be opened, walked or understood at all.
    Unreadable {
        /// The archive, or the file inside it.
        path: PathBuf,
        /// The whole chain of causes, in one line.
        why: String,
    },
    /// A file of the manifest is not there.
    Missing {
        /// Relative to the archive's root.
        path: String,
    },
    /// Something is there that the manifest does not name, or that is no regular file.
    Extra {
        /// Relative to the archive's root.
        path: String,
    },
    /// A file is shorter or longer.
    Size {
        /// Relative to the archive's root.
        path: String,
        /// Bytes by the manifest.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// A file has the right length and other bytes.
    Changed {
        /// Relative to the archive's root.
        path: String,
        /// SHA-256 by the manifest.
        expected: String,
        /// SHA-256 found.
        found: String,
    },
    /// The manifest is not what was signed.
    BadSignature {
        /// In what way.
        why: String,
    },
    /// The archive is whole, but signed with another key than the one trusted.
    UnknownKey {
        /// Fingerprint of the key it is signed with.
        found: String,
        /// Fingerprint of the key that was given.
        expected: String,
    },
    /// `product.txt` and the manifest name different versions.
    TwoVersions {
        /// In `product.txt`.
        product: String,
        /// In the manifest.
        manifest: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, why } => write!(f, "`{}` cannot be read: {why}", path.display()),
            Self::Missing { path } => write!(f, "`{path}` is missing"),
            Self::Extra { path } => write!(f, "`{path}` does not belong to the archive"),
            Self::Size { path, expected, found } => {
                write!(f, "`{path}` has {found} bytes, expected {expected}")
            }
            Self::Changed { path, expected, found } => {
                write!(f, "`{path}` was changed: sha256 {found}, expected {expected}")
            }
            Self::BadSignature { why } => write!(f, "`{SIGNATURE}` does not sign `{MANIFEST}`: {why}"),
            Self::UnknownKey { found, expected } => {
                write!(f, "the archive is signed with the key {found}, trusted is {expected}")
            }
            Self::TwoVersions { product, manifest } => {
                write!(f, "`{PRODUCT_FILE}` says version {product}, `{MANIFEST}` says {manifest}")
            }
        }
    }
}

/// How far a verification is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The file being read.
    pub path: &'a str,
    /// Bytes read so far.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Checks the folder or ISO file at `path`: the signature of the manifest, then every file.
///
/// `key` is the public key to trust, in PEM. Without one the archive's own key is used: that finds damage, but
/// not an archive that somebody made and signed anew. No problem means that all is as it was signed.
pub fn verify(path: &Path, key: Option<&Path>, progress: &mut dyn FnMut(Progress<'_>)) -> Vec<Problem> {
    let source = match Source::open(path) {
        Ok(source) => source,
        Err(err) => return vec![unreadable(path, &err)],
    };
    let mut problems = Vec::new();
    let manifest_bytes = match source.read(MANIFEST, manifest::LIMIT) {
        Ok(bytes) => bytes,
        Err(err) => return vec![unreadable(&path.join(MANIFEST), &err)],
    };
    problems.extend(check_signature(path, &source, &manifest_bytes, key));
    let manifest = match Manifest::parse(&manifest_bytes) {
        Ok(manifest) => manifest,
        Err(err) => {
            problems.push(unreadable(&path.join(MANIFEST), &err));
            return problems;
        }
    };
    match source.entries() {
        Ok(entries) => check_files(path, &source, &manifest, &entries, &mut problems, progress),
        Err(err) => problems.push(unreadable(path, &err)),
    }
    let product = source.read(PRODUCT_FILE, product::LIMIT).ok();
    if let Some(Ok(product)) = product.map(|bytes| Product::parse(&bytes))
        && product.version != manifest.version
    {
        problems.push(Problem::TwoVersions { product: product.version, manifest: manifest.version });
    }
    problems
}

fn check_signature(path: &Path, source: &Source, manifest: &[u8], key: Option<&Path>) -> Option<Problem> {
    let signature = match source.read(SIGNATURE, signature::LIMIT) {
        Ok(bytes) => bytes,
        Err(err) => return Some(unreadable(&path.join(SIGNATURE), &err)),
    };
    let own = source.read(PUBLIC_KEY, signature::LIMIT);
    let bad = |err: SignatureError| Some(Problem::BadSignature { why: err.to_string() });
    let Some(key_path) = key else {
        return match own {
            Ok(own) => signature::check(manifest, &signature, &own).err().and_then(bad),
            Err(err) => Some(unreadable(&path.join(PUBLIC_KEY), &err)),
        };
    };
    let trusted = match fs::read(key_path) {
        Ok(bytes) => bytes,
        Err(err) => return Some(unreadable(key_path, &err)),
    };
    let expected = match signature::fingerprint(&trusted) {
        Ok(fingerprint) => fingerprint,
        Err(err) => return Some(unreadable(key_path, &err)),
    };
    let mismatch = signature::check(manifest, &signature, &trusted).err()?;
    // Whole, but of another origin: that is worth another word than damaged.
    match own.ok().filter(|own| signature::check(manifest, &signature, own).is_ok()) {
        Some(own) => {
            let found = signature::fingerprint(&own).unwrap_or_default();
            Some(Problem::UnknownKey { found, expected })
        }
        None => bad(mismatch),
    }
}

fn check_files(
    path: &Path,
    source: &Source,
    manifest: &Manifest,
    entries: &BTreeMap<String, Kind>,
    problems: &mut Vec<Problem>,
    progress: &mut dyn FnMut(Progress<'_>),
) {
    for (found, kind) in entries {
        let known = manifest.files.contains_key(found) || found == MANIFEST || found == SIGNATURE;
        if *kind != Kind::Folder && !(known && matches!(kind, Kind::File(_))) {
            problems.push(Problem::Extra { path: found.clone() });
        }
    }
    let total = manifest.files.values().fold(0u64, |sum, file| sum.saturating_add(file.size));
    let mut done = 0;
    for (name, file) in &manifest.files {
        let Some(Kind::File(size)) = entries.get(name) else {
            problems.push(Problem::Missing { path: name.clone() });
            continue;
        };
        if *size != file.size {
            problems.push(Problem::Size { path: name.clone(), expected: file.size, found: *size });
            continue;
        }
        let mut tell = |count| {
            done += count;
            progress(Progress { path: name, done, total });
        };
        problems.extend(check_file(path, source, name, file, &mut tell));
    }
}

fn check_file(
    path: &Path,
    source: &Source,
    name: &str,
    file: &FileEntry,
    tell: &mut dyn FnMut(u64),
) -> Option<Problem> {
    let mut reader = match source.open_file(name) {
        Ok(reader) => reader,
        Err(err) => return Some(unreadable(&path.join(name), &err)),
    };
    match sha256_of(&mut reader, tell) {
        Err(err) => Some(unreadable(&path.join(name), &err)),
        Ok((_, found)) if found != file.sha256 => {
            Some(Problem::Changed { path: name.to_owned(), expected: file.sha256.clone(), found })
        }
        Ok(_) => None,
    }
}

fn unreadable(path: &Path, err: &dyn std::error::Error) -> Problem {
    let mut why = err.to_string();
    let mut source = err.source();
    while let Some(cause) = source {
        why = format!("{why}: {cause}");
        source = cause.source();
    }
    Problem::Unreadable { path: path.to_owned(), why }
}
