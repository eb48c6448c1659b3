//! For tests: archives, whole and signed, and a few bytes large; settings of a cluster.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use metalk8s_artifacts::{Manifest, Product, digest::sha256, manifest::FileEntry, signature::PrivateKey};
use metalk8s_types::pillar::{Addons, Certificates, ClusterPillar, Networks, Proxies, VersionFacts};

/// A temporary folder in which archives are made.
pub(crate) struct ArchiveFiles(tempfile::TempDir);

impl ArchiveFiles {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// An archive as a folder.
    pub(crate) fn archive(&self, version: &str, name: &str) -> PathBuf {
        let root = self.path(name);
        let key = PrivateKey::from_seed(&[7; 32]);
        let product = Product {
            name: "MetalK8s".into(),
            version: version.into(),
            short_version: String::new(),
            git: String::new(),
            development: false,
            timestamp: String::new(),
            // Two archives of one version differ.
            host: name.into(),
        };
        let mut files = BTreeMap::new();
        for (path, text) in [
            ("product.txt", product.render()),
            ("keys/archive.pub", key.public_pem()),
            ("bin/metalk8s", "program".to_owned()),
        ] {
            let entry = FileEntry { size: text.len() as u64, sha256: sha256(text.as_bytes()) };
            put(&root.join(path), text.as_bytes());
            files.insert(path.to_owned(), entry);
        }
        let manifest = Manifest {
            schema: 1,
            name: "MetalK8s".into(),
            version: version.into(),
            components: BTreeMap::new(),
            images: BTreeMap::new(),
            packages: BTreeMap::new(),
            files,
        };
        let bytes = manifest.render();
        put(&root.join("manifest.json"), &bytes);
        put(&root.join("manifest.json.sig"), key.sign(&bytes).as_bytes());
        root
    }

    /// An archive as an ISO file.
    pub(crate) fn iso(&self, version: &str, name: &str) -> PathBuf {
        let root = self.archive(version, &format!("{name}.tree"));
        let iso = self.path(name);
        let mut command = Command::new("xorriso");
        command.args(["-as", "mkisofs", "-quiet", "-R", "-J", "-o"]).args([&iso, &root]);
        assert!(command.stderr(Stdio::null()).status().unwrap().success());
        iso
    }
}

fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Settings of a cluster without nodes.
pub(crate) fn cluster() -> ClusterPillar {
    let facts = VersionFacts {
        images: BTreeMap::new(),
        packages: BTreeMap::new(),
        components: BTreeMap::new(),
        program: String::new(),
        packages_key: String::new(),
    };
    ClusterPillar {
        networks: Networks {
            control_plane: vec!["10.0.0.0/24".parse().unwrap()],
            workload_plane: vec!["10.0.1.0/24".parse().unwrap()],
            pods: "10.233.0.0/16".parse().unwrap(),
            services: "10.96.0.0/12".parse().unwrap(),
            workload_plane_mtu: None,
        },
        proxies: Proxies::default(),
        certificates: Certificates::default(),
        api_server_names: Vec::new(),
        addons: Addons::default(),
        ca_node: "bootstrap".into(),
        versions: BTreeMap::from([("1.0.0".into(), facts)]),
        masters: BTreeMap::new(),
        etcd: BTreeMap::new(),
        repositories: BTreeMap::new(),
        authorities: BTreeMap::new(),
        tree: serde_json::Value::Null,
    }
}
