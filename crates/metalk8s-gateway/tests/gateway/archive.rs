use std::fs;
use std::path::PathBuf;

use metalk8s_gateway::repositories::Digest;

pub(crate) const ENVIRONMENT: &str = "metalk8s-0.1.0";
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// A root with one archive in it.
pub(crate) struct Archive {
    pub(crate) root: tempfile::TempDir,
    pub(crate) path: PathBuf,
    entries: Vec<String>,
}

/// An image that was put into an archive.
pub(crate) struct Image {
    pub(crate) config: Digest,
    pub(crate) layer: Digest,
    pub(crate) manifest: Digest,
    pub(crate) manifest_bytes: Vec<u8>,
}

impl Archive {
    /// One with packages, and no images yet.
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(ENVIRONMENT);
        let archive = Self { root, path, entries: Vec::new() };
        archive.write("product.txt", b"NAME=MetalK8s\nVERSION=0.1.0\n");
        archive.write("manifest.json", b"{}");
        archive.write("bin/metalk8s", b"program");
        archive.write("secret.txt", b"in the archive, but not served");
        archive.write("packages/debian/bookworm/dists/bookworm/InRelease", b"signed\n");
        archive.write("packages/debian/bookworm/pool/kubelet_1.35.4+a~1_amd64.deb", b"0123456789");
        archive
    }

    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.write(&blob_path(digest), bytes);
        digest
    }

    /// Adds an image with one layer, known as `name`, by custom `etcd:3.6.16`.
    pub(crate) fn image(&mut self, name: &str, layer: &[u8]) -> Image {
        let config_bytes = format!("{{\"name\":\"{name}\"}}");
        let config = self.blob(config_bytes.as_bytes());
        let layer_digest = self.blob(layer);
        let manifest_bytes = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST_TYPE}","config":{{"mediaType":"c","digest":"{config}","size":{}}},"layers":[{{"mediaType":"l","digest":"{layer_digest}","size":{}}}]}}"#,
            config_bytes.len(),
            layer.len()
        )
        .into_bytes();
        let manifest = self.blob(&manifest_bytes);
        self.entry(name, manifest, MANIFEST_TYPE, manifest_bytes.len());
        Image { config, layer: layer_digest, manifest, manifest_bytes }
    }

    /// Makes a manifest known as `name`, and writes the index.
    pub(crate) fn entry(&mut self, name: &str, digest: Digest, media_type: &str, size: usize) {
        self.entries.push(format!(
            r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size},"annotations":{{"org.opencontainers.image.ref.name":"{name}"}}}}"#
        ));
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, self.entries.join(","));
        self.write("images/oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
        // A reader never finds half an index: archives are mounted, not written in place.
        self.write("images/index.json.new", index.as_bytes());
        fs::rename(self.path.join("images/index.json.new"), self.path.join("images/index.json")).unwrap();
    }

    /// Takes the whole archive away at once, like an unmount, and tells where it is now.
    pub(crate) fn remove(&self) -> PathBuf {
        let away = self.root.path().join(".away");
        fs::rename(&self.path, &away).unwrap();
        away
    }
}

pub(crate) fn blob_path(digest: Digest) -> String {
    format!("images/blobs/sha256/{}", digest.hex())
}

/// Bytes that differ from place to place, so that a wrong offset shows.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}
