//! Reads what an archive says of itself. [`crate::verify()`] tells whether that is true.

use std::path::{Path, PathBuf};

use metalk8s_types::pillar::{ArchiveFacts, ArchiveSource, ImageFacts};

use crate::{
    manifest::{self, MANIFEST, Manifest, ManifestError, SIGNATURE},
    product::{self, Product, ProductError},
    signature,
    source::{Source, SourceError},
};

/// Name of the file that says what an archive is.
pub const PRODUCT_FILE: &str = "product.txt";

/// An archive's own description.
#[derive(Debug, Clone)]
pub struct Archive {
    /// The folder or the ISO file it was read from.
    pub path: PathBuf,
    /// `product.txt`.
    pub product: Product,
    /// `manifest.json`; its signature and the files are not checked here.
    pub manifest: Manifest,
}

/// Why an archive could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadArchiveError {
    /// It, or one of the two files, could not be read.
    #[error("`{path}` is not an archive of this product")]
    Source {
        /// The archive.
        path: PathBuf,
        /// Why.
        #[source]
        source: SourceError,
    },
    /// Its `product.txt`.
    #[error("`{path}` is not an archive of this product")]
    Product {
        /// The archive.
        path: PathBuf,
        /// Why.
        #[source]
        source: ProductError,
    },
    /// Its `manifest.json`.
    #[error("the manifest of the archive `{path}` cannot be used")]
    Manifest {
        /// The archive.
        path: PathBuf,
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// Its two files contradict each other.
    #[error("the archive `{path}` is version {product} by its product.txt, but {manifest} by its manifest")]
    TwoVersions {
        /// The archive.
        path: PathBuf,
        /// In `product.txt`.
        product: String,
        /// In `manifest.json`.
        manifest: String,
    },
}

/// Reads `product.txt` alone, from a folder or an unmounted ISO.
pub fn read_product(path: &Path) -> Result<Product, ReadArchiveError> {
    let source = open(path)?;
    product_of(path, &source)
}

/// Reads the signature of the manifest, which no other archive has, from a folder or an unmounted ISO.
pub fn read_signature(path: &Path) -> Result<String, ReadArchiveError> {
    let source = open(path)?;
    let bytes = source
        .read(SIGNATURE, signature::LIMIT)
        .map_err(|source| ReadArchiveError::Source { path: path.to_owned(), source })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads `product.txt` and `manifest.json`, from a folder or an unmounted ISO.
pub fn read_archive(path: &Path) -> Result<Archive, ReadArchiveError> {
    let source = open(path)?;
    let product = product_of(path, &source)?;
    let bytes = source
        .read(MANIFEST, manifest::LIMIT)
        .map_err(|source| ReadArchiveError::Source { path: path.to_owned(), source })?;
    let manifest = Manifest::parse(&bytes)
        .map_err(|source| ReadArchiveError::Manifest { path: path.to_owned(), source })?;
    if product.version != manifest.version {
        return Err(ReadArchiveError::TwoVersions {
            path: path.to_owned(),
            product: product.version,
            manifest: manifest.version,
        });
    }
    Ok(Archive { path: path.to_owned(), product, manifest })
}

impl Archive {
    /// What formulas need to know. `root` is where the archive is (or will be) mounted, `repository` the key of
    /// the host's package repository, such as `debian/bookworm` or `redhat/9`.
    pub fn facts(&self, root: &Path, repository: &str) -> ArchiveFacts {
        let images = self.manifest.images.iter().map(|(name, image)| {
            (name.clone(), ImageFacts { tag: image.tag.clone(), digest: image.digest.clone() })
        });
        ArchiveFacts {
            version: self.product.version.clone(),
            root: root.to_owned(),
            images: images.collect(),
            packages: self.manifest.packages.get(repository).cloned().unwrap_or_default(),
            components: self.manifest.components.clone(),
            source: ArchiveSource::Mounted,
        }
    }
}

fn open(path: &Path) -> Result<Source, ReadArchiveError> {
    Source::open(path).map_err(|source| ReadArchiveError::Source { path: path.to_owned(), source })
}

fn product_of(path: &Path, source: &Source) -> Result<Product, ReadArchiveError> {
    let bytes = source
        .read(PRODUCT_FILE, product::LIMIT)
        .map_err(|source| ReadArchiveError::Source { path: path.to_owned(), source })?;
    Product::parse(&bytes).map_err(|source| ReadArchiveError::Product { path: path.to_owned(), source })
}
