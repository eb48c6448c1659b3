//! Programs of other versions, fetched from our own repositories over TLS.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, net::IpAddr, os::unix::fs::PermissionsExt, path::Path};

use jiff::Timestamp;
use metalk8s_gateway::{Limits, Repositories, RepositoriesConfig, TlsFiles};
use metalk8s_orchestrator::programs::program_of;
use metalk8s_pki::{AuthorityMaterial, Request, Usage, authority, issue};
use metalk8s_types::pillar::ClusterPillar;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::sync::oneshot;

const PROGRAM: &str = "#!/bin/sh\necho the program of 9.9.9\n";

/// Repositories with the archive of another version, on loopback.
struct Served {
    folder: TempDir,
    endpoint: String,
    _stop: oneshot::Sender<()>,
}

impl Served {
    async fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("archives");
        fs::create_dir_all(root.join("metalk8s-9.9.9/bin")).unwrap();
        fs::write(root.join("metalk8s-9.9.9/product.txt"), "NAME=MetalK8s\nVERSION=9.9.9\n").unwrap();
        fs::write(root.join("metalk8s-9.9.9/bin/metalk8s"), PROGRAM).unwrap();
        let made = authority("repositories", 3600, Timestamp::now()).unwrap();
        let material = AuthorityMaterial {
            certificate_pem: made.certificate_pem.clone(),
            key_pem: made.key_pem.clone(),
        };
        let address: IpAddr = "127.0.0.1".parse().unwrap();
        let request = Request {
            common_name: "server".into(),
            usages: vec![Usage::Server],
            addresses: vec![address],
            lifetime_seconds: 3600,
            ..Request::default()
        };
        let server = issue(&material, &request, Timestamp::now()).unwrap();
        let file = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        file("ca.crt", &made.certificate_pem);
        let tls = TlsFiles {
            certificate: file("server.crt", &server.certificate_pem),
            key: file("server.key", &server.key_pem),
        };
        let config = RepositoriesConfig {
            root,
            listen: (address, 0).into(),
            tls: Some(tls),
            limits: Limits::default(),
        };
        let repositories = Repositories::bind(config).await.unwrap();
        let endpoint = repositories.address().to_string();
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(repositories.serve(async { drop(stopped.await) }));
        Self { folder, endpoint, _stop: stop }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    async fn program_of(&self, settings: &ClusterPillar, version: &str) -> Result<String, String> {
        let endpoints = ["127.0.0.1:1".to_owned(), self.endpoint.clone()];
        let found =
            program_of(settings, version, &self.path("programs"), &self.path("ca.crt"), &endpoints).await;
        found.map(|path| path.display().to_string()).map_err(|error| error.to_string())
    }
}

/// Settings that know this program of version 9.9.9.
fn settings(program: &str) -> ClusterPillar {
    let facts = json!({
        "images": {}, "packages": {}, "components": {}, "packages_key": "",
        "program": hex::encode(Sha256::digest(program)),
    });
    serde_json::from_value(json!({
        "networks": {
            "control_plane": ["10.0.0.0/24"], "workload_plane": ["10.0.0.0/24"],
            "pods": "10.233.0.0/16", "services": "10.96.0.0/12", "workload_plane_mtu": null,
        },
        "proxies": {"http": null, "https": null, "no_proxy": []},
        "ca_node": "bootstrap", "versions": {"9.9.9": facts},
        "masters": {}, "etcd": {}, "repositories": {}, "authorities": {}, "tree": Value::Null,
    }))
    .unwrap()
}

#[tokio::test]
async fn a_program_comes_from_a_repository_that_answers_and_stays_beside_the_others() {
    let served = Served::begin().await;
    let settings = settings(PROGRAM);
    fs::create_dir_all(served.path("programs/metalk8s-1.0.0")).unwrap();
    let path = served.program_of(&settings, "9.9.9").await.unwrap();
    assert_eq!(Path::new(&path), served.path("programs/metalk8s-9.9.9/metalk8s"));
    assert_eq!(fs::read_to_string(&path).unwrap(), PROGRAM);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
    assert!(!served.path("programs/metalk8s-1.0.0").exists(), "a version that nobody knows any more is kept");

    // It is there: nobody has to serve it. One that was damaged is fetched again.
    fs::remove_file(served.path("archives/metalk8s-9.9.9/bin/metalk8s")).unwrap();
    served.program_of(&settings, "9.9.9").await.unwrap();
    fs::write(served.path("archives/metalk8s-9.9.9/bin/metalk8s"), PROGRAM).unwrap();
    fs::write(&path, "damaged").unwrap();
    served.program_of(&settings, "9.9.9").await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), PROGRAM);
}

#[tokio::test]
async fn another_program_than_the_settings_say_is_not_kept() {
    let served = Served::begin().await;
    let error = served.program_of(&settings("another"), "9.9.9").await.unwrap_err();
    assert!(error.contains("has another program") && error.contains("127.0.0.1:1: no answer"), "{error}");
    let left: Vec<_> = fs::read_dir(served.path("programs/metalk8s-9.9.9")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    let error = served.program_of(&settings(PROGRAM), "8.8.8").await.unwrap_err();
    assert!(error.contains("8.8.8") && error.contains("there is: 9.9.9"), "{error}");
}
