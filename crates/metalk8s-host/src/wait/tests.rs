use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use metalk8s_engine::{
    State,
    state::{Authority, Certificate, Readers, Signer, Subject, Usage},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UnixListener},
};

use super::*;
use crate::testing::{Lab, chain};

fn wait(until: Condition, deadline_seconds: u64) -> Wait {
    Wait { until, deadline_seconds }
}

fn plain(address: SocketAddr) -> Condition {
    Condition::Http { url: format!("http://{address}/healthz"), ca: None, client: None }
}

/// Answers each question with the next status, and with the last for ever.
async fn serve(statuses: &'static [u16]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let status = statuses[number.min(statuses.len() - 1)];
            answer(&mut stream, status).await;
        }
    });
    address
}

async fn answer(stream: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin), status: u16) {
    let mut question = [0; 4096];
    let _ = stream.read(&mut question).await;
    let text = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

#[tokio::test]
async fn waiting_ends_as_soon_as_the_answer_is_200() {
    let lab = Lab::new();
    let address = serve(&[500, 503, 200]).await;
    lab.settles(&State::Wait(wait(plain(address), 60))).await;
}

#[tokio::test]
async fn a_deadline_says_what_was_waited_for_and_what_was_seen_last() {
    let address = serve(&[503]).await;
    let err = apply(&Lab::new().host, &wait(plain(address), 0)).await.unwrap_err();
    assert_eq!(
        chain(&err),
        format!("waited 0 s for http://{address}/healthz: it answers 503 Service Unavailable")
    );
    assert!(err.retryable);
}

#[tokio::test]
async fn an_address_that_can_never_answer_is_an_error_at_once() {
    let lab = Lab::new();
    for url in ["ftp://x/", "/healthz", "https://"] {
        let until = Condition::Http { url: url.to_owned(), ca: None, client: None };
        assert!(check(&lab.host, &wait(until, 60)).await.is_err(), "{url}");
    }
}

#[tokio::test]
async fn a_socket_holds_when_it_accepts() {
    let lab = Lab::new();
    lab.file("/run/x", "");
    std::fs::remove_file(lab.path("/run/x")).unwrap();
    let wish = wait(Condition::Socket("/run/x".into()), 0);
    assert!(check(&lab.host, &wish).await.unwrap().is_some());
    let _listener = UnixListener::bind(lab.path("/run/x")).unwrap();
    assert_eq!(check(&lab.host, &wish).await.unwrap(), None);
}

fn certificate(name: &str, usage: Usage) -> State {
    State::Certificate(Certificate {
        certificate: format!("/{name}.crt").into(),
        key: format!("/{name}.key").into(),
        readers: Readers::root(),
        ca_certificate: "/ca.crt".into(),
        signer: Signer::Here { certificate: "/ca.crt".into(), key: "/ca.key".into() },
        subject: Subject { common_name: name.to_owned(), organizations: Vec::new() },
        usages: vec![usage],
        dns_names: Vec::new(),
        addresses: vec!["127.0.0.1".parse().unwrap()],
        lifetime_seconds: 86_400,
    })
}

fn authority(folder: &str) -> State {
    State::Authority(Authority {
        certificate: format!("{folder}/ca.crt").into(),
        key: format!("{folder}/ca.key").into(),
        readers: Readers::root(),
        common_name: "test".to_owned(),
        lifetime_seconds: 2 * 86_400,
    })
}

#[tokio::test]
async fn https_trusts_the_named_authority_alone_and_shows_the_client() {
    let lab = Lab::new();
    lab.settles(&authority("")).await;
    lab.settles(&authority("/other")).await;
    lab.settles(&certificate("server", Usage::Server)).await;
    lab.settles(&certificate("client", Usage::Client)).await;
    let address = serve_tls(&lab).await;
    let client: (PathBuf, PathBuf) = ("/client.crt".into(), "/client.key".into());
    let until = |ca: &str, client| Condition::Http {
        url: format!("https://{address}/"),
        ca: Some(ca.into()),
        client,
    };
    for (ca, client, holds) in [
        ("/ca.crt", Some(client.clone()), true),
        ("/ca.crt", None, false),
        ("/other/ca.crt", Some(client), false),
        ("/missing.crt", None, false),
    ] {
        let seen = look(&lab.host, &until(ca, client)).await.unwrap();
        assert_eq!(seen.is_ok(), holds, "{ca}: {seen:?}");
    }
}

async fn serve_tls(lab: &Lab) -> SocketAddr {
    let chain = vec![CertificateDer::from_pem_slice(lab.text("/server.crt").as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(lab.text("/server.key").as_bytes()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(lab.text("/ca.crt").as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = acceptor.accept(stream).await {
                answer(&mut stream, 200).await;
            }
        }
    });
    address
}
