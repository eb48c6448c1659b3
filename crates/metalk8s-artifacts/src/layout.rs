//! OCI image layout: all images of an archive in one folder, each layer stored once.
//!
//! ```text
//! oci-layout  index.json  blobs/sha256/<hex>
//! ```
//!
//! `index.json` names each manifest by the annotation `org.opencontainers.image.ref.name` = `etcd:3.6.16`.
//! Source: OCI image specification 1.1. The types here have sorted maps, for bytes that do not vary.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    digest::sha256,
    layer::{self, Layer},
};

/// The annotation that names an image inside a layout.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Media type of a manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an index.
pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of a configuration.
pub const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// The content of the file `oci-layout`.
pub const OCI_LAYOUT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";
/// The largest index, manifest or configuration that is read, in bytes.
pub const LIMIT: u64 = 4 * 1024 * 1024;

/// Points at a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: String,
    /// `sha256:...`.
    pub digest: String,
    /// Its length in bytes.
    pub size: u64,
    /// Free words about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What it runs on, for manifests inside an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

/// What an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Such as `amd64`.
    pub architecture: String,
    /// Such as `linux`.
    pub os: String,
}

/// `index.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// [`INDEX_TYPE`].
    #[serde(default)]
    pub media_type: String,
    /// The images, sorted by name.
    pub manifests: Vec<Descriptor>,
}

/// The manifest of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Always 2.
    pub schema_version: u32,
    /// [`MANIFEST_TYPE`].
    #[serde(default)]
    pub media_type: String,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// Free words about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// How a container of an image is started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Process {
    /// Numeric user, `uid` or `uid:gid`; empty for root.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `8080/tcp` to nothing.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// `KEY=value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The program with its fixed arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// Arguments that a pod may replace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// Where it starts.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// The `{}` of JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// The configuration of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// A constant, so that the image depends on its contents only.
    pub created: String,
    /// `amd64`.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// How it is started.
    pub config: Process,
    /// Its layers.
    pub rootfs: RootFs,
}

/// The layers of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Digests of the tars, lowest first.
    pub diff_ids: Vec<String>,
}

/// An image, ready to be put into a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The configuration blob.
    pub config: Vec<u8>,
    /// The manifest blob.
    pub manifest: Vec<u8>,
    /// `sha256:` of the manifest.
    pub digest: String,
}

/// Puts layers, lowest first, and a process together.
pub fn assemble(layers: &[Layer], process: Process) -> Image {
    let configuration = Configuration {
        created: "1970-01-01T00:00:00Z".to_owned(),
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        config: process,
        rootfs: RootFs {
            kind: "layers".to_owned(),
            diff_ids: layers.iter().map(|layer| layer.diff_id.clone()).collect(),
        },
    };
    let config = to_json(&configuration);
    let layers = layers.iter().map(|layer| descriptor(layer::MEDIA_TYPE, layer.digest.clone(), layer.size));
    let manifest = to_json(&ImageManifest {
        schema_version: 2,
        media_type: MANIFEST_TYPE.to_owned(),
        config: descriptor(CONFIG_TYPE, format!("sha256:{}", sha256(&config)), config.len() as u64),
        layers: layers.collect(),
        annotations: BTreeMap::new(),
    });
    let digest = format!("sha256:{}", sha256(&manifest));
    Image { config, manifest, digest }
}

/// `index.json` for images given as (`name:tag`, manifest digest, manifest size in bytes).
pub fn index(images: &BTreeMap<String, (String, u64)>) -> Vec<u8> {
    let manifests = images.iter().map(|(name, (digest, size))| Descriptor {
        annotations: [(REF_NAME.to_owned(), name.clone())].into(),
        platform: Some(Platform { architecture: "amd64".to_owned(), os: "linux".to_owned() }),
        ..descriptor(MANIFEST_TYPE, digest.clone(), *size)
    });
    to_json(&Index { schema_version: 2, media_type: INDEX_TYPE.to_owned(), manifests: manifests.collect() })
}

fn descriptor(media_type: &str, digest: String, size: u64) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest,
        size,
        annotations: BTreeMap::new(),
        platform: None,
    }
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("these types have only text keys and no floats")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(letter: char) -> Layer {
        let digest = format!("sha256:{}", letter.to_string().repeat(64));
        Layer { digest: digest.clone(), size: 10, diff_id: digest }
    }

    #[test]
    fn an_image_names_its_configuration_and_layers() {
        let process = Process { user: "65532".into(), ..Process::default() };
        let image = assemble(&[layer('a'), layer('b')], process);
        let manifest: ImageManifest = serde_json::from_slice(&image.manifest).unwrap();
        assert_eq!(manifest.config.digest, format!("sha256:{}", sha256(&image.config)));
        assert_eq!(manifest.layers.len(), 2);
        let config: Configuration = serde_json::from_slice(&image.config).unwrap();
        assert_eq!(config.rootfs.diff_ids, [layer('a').diff_id, layer('b').diff_id]);
        assert_eq!(config.config.user, "65532");
    }

    #[test]
    fn labels_in_any_order_give_the_same_image() {
        let labels = |keys: [&str; 3]| keys.map(|key| (key.to_owned(), "x".to_owned())).into();
        let image = |labels| assemble(&[layer('a')], Process { labels, ..Process::default() });
        assert_eq!(image(labels(["a", "b", "c"])), image(labels(["c", "a", "b"])));
    }

    #[test]
    fn an_index_names_each_image_by_its_annotation() {
        let images = [("etcd:3.6.16".to_owned(), (layer('c').digest, 5))].into();
        let index: Index = serde_json::from_slice(&index(&images)).unwrap();
        assert_eq!(index.manifests[0].annotations[REF_NAME], "etcd:3.6.16");
    }
}
