use std::sync::Arc;

use metalk8s_diagnostics::{Diagnose, explain};
use metalk8s_gateway::{Limits, Repositories, RepositoriesConfig, ServeError, TlsFiles};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;

use crate::archive::{Archive, noise};
use crate::client::{raw, read_reply, send};
use crate::server::Running;

#[tokio::test]
async fn blobs_and_manifests_travel_over_tls() {
    let mut archive = Archive::new();
    let layer = noise(1_000_000);
    let digest = archive.image("etcd:1", &layer).layer;
    let certified = rcgen::generate_simple_self_signed(["registry.test".to_owned()]).unwrap();
    let files =
        TlsFiles { certificate: archive.root.path().join("crt"), key: archive.root.path().join("key") };
    std::fs::write(&files.certificate, certified.cert.pem()).unwrap();
    std::fs::write(&files.key, certified.signing_key.serialize_pem()).unwrap();
    let server = Running::start_with(archive.root.path(), Limits::default(), Some(files)).await;

    let mut roots = RootCertStore::empty();
    roots.add(certified.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("registry.test").unwrap();
    let mut stream = connector.connect(name, stream).await.unwrap();
    for (target, header, expected) in [
        (format!("/v2/metalk8s-0.1.0/etcd/blobs/{digest}"), "Range: bytes=100-", &layer[100..]),
        (format!("/v2/metalk8s-0.1.0/etcd/blobs/{digest}"), "X: y", &layer[..]),
        ("/healthz".to_owned(), "Connection: close", b"ok"),
    ] {
        send(&mut stream, "GET", &target, &[header]).await;
        assert!(read_reply(&mut stream, true).await.unwrap().body == expected, "{target} {header}");
    }
    // Plain HTTP on the TLS port gets an alert or nothing, and the server lives on.
    let answer = raw(server.address, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(!answer.contains("HTTP/1.1"), "{answer}");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named() {
    let archive = Archive::new();
    let path = archive.root.path().join("none.crt");
    let files = |path: &std::path::Path| TlsFiles { certificate: path.to_owned(), key: path.to_owned() };
    for contents in [None, Some("not PEM")] {
        if let Some(contents) = contents {
            std::fs::write(&path, contents).unwrap();
        }
        let config = RepositoriesConfig {
            root: archive.root.path().to_owned(),
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: Some(files(&path)),
            limits: Limits::default(),
        };
        let Err(ServeError::Tls { source, .. }) = Repositories::bind(config).await else {
            panic!("a server without a certificate began")
        };
        assert!(source.to_string().contains("none.crt"), "{source}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_with_a_way_out() {
    let archive = Archive::new();
    let server = Running::start(archive.root.path()).await;
    let config = RepositoriesConfig {
        root: archive.root.path().to_owned(),
        listen: server.address,
        tls: None,
        limits: Limits::default(),
    };
    let Err(err) = Repositories::bind(config).await else { panic!("two servers share an address") };
    assert_eq!(err.to_string(), format!("could not listen on `{}`", server.address));
    assert_eq!(err.code(), Some(explain::PORT_IN_USE));
    assert!(err.hints()[0].0.contains(&server.address.port().to_string()));
}
