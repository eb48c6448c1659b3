use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use metalk8s_saltapi::{Api, Limits, Server, TlsFiles};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    client::login,
    fake::{FakeFleet, FakePeople, certificate},
};

struct Running {
    folder: tempfile::TempDir,
    fleet: Arc<FakeFleet>,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<()>,
    trusted: String,
}

fn write(folder: &Path) -> String {
    let (certificate, key) = certificate();
    fs::write(folder.join("key"), key).unwrap();
    fs::write(folder.join("certificate"), &certificate).unwrap();
    certificate
}

async fn start() -> Running {
    let folder = tempfile::tempdir().unwrap();
    let trusted = write(folder.path());
    let files = TlsFiles { certificate: folder.path().join("certificate"), key: folder.path().join("key") };
    let server = Server::bind(([127, 0, 0, 1], 0).into(), files).await.unwrap();
    let address = server.address();
    let fleet = FakeFleet::new(&["node-1"]);
    let api = Api::new(fleet.clone(), Arc::new(FakePeople), Limits::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(server.serve(api, async { drop(stopped.await) }));
    Running { folder, fleet, address, stop, ended, trusted }
}

async fn connect(running: &Running) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(running.trusted.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(running.address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

async fn send(running: &Running, stream: &mut TlsStream<TcpStream>, token: &str, path: &str, body: &Value) {
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nX-Auth-Token: {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        running.address,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
}

async fn ask(running: &Running, token: &str, path: &str, body: &Value) -> Value {
    let mut stream = connect(running).await.unwrap();
    send(running, &mut stream, token, path, body).await;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
}

async fn token(running: &Running) -> String {
    let told = ask(running, "", "/login", &login("admin")).await;
    told["return"][0]["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart() {
    let mut running = start().await;
    assert_eq!(token(&running).await.len(), 40);
    let renewed = write(running.folder.path());
    assert!(connect(&running).await.is_err());
    running.trusted = renewed;
    assert_eq!(token(&running).await.len(), 40);
    fs::write(running.folder.path().join("certificate"), "broken").unwrap();
    assert_eq!(token(&running).await.len(), 40);
}

#[tokio::test]
async fn a_request_is_given_up_when_its_client_goes_away() {
    let running = start().await;
    let token = token(&running).await;
    running.fleet.deafen("node-1");
    let mut stream = connect(&running).await.unwrap();
    let chunk = json!({"client": "local", "tgt": "*", "fun": "test.ping", "timeout": 3600});
    send(&running, &mut stream, &token, "/", &chunk).await;
    let current = async |wanted: u64| {
        let mut stream = connect(&running).await.unwrap();
        let head =
            format!("GET /stats HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let told: Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
        told["CherryPy Applications"]["Current Requests"] == wanted
    };
    let until = async |wanted| {
        while !current(wanted).await {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(10), until(2)).await.expect("the request waits");
    drop(stream);
    timeout(Duration::from_secs(10), until(1)).await.expect("the request is given up");
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_ends_its_streams() {
    let running = start().await;
    let token = token(&running).await;
    let mut stream = connect(&running).await.unwrap();
    let head = format!("GET /events?token={token} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut bytes = [0; 4096];
    assert!(stream.read(&mut bytes).await.unwrap() > 0);
    running.stop.send(()).unwrap();
    timeout(Duration::from_secs(5), running.ended).await.expect("it ends in time").unwrap();
}
