use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use metalk8s_gateway::Backends;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::balancer::{Backend, Running};
use crate::eventually;

/// An API server that tells by TLS whether it is ready, and greets those who speak no TLS after their first byte.
struct Master {
    address: SocketAddr,
    /// The status of its answers to `/readyz`.
    status: Arc<AtomicU16>,
    /// How many of them there were.
    asked: Arc<AtomicUsize>,
}

impl Master {
    async fn new(status: u16) -> Self {
        let certified = rcgen::generate_simple_self_signed(["of another name".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 3), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let status = Arc::new(AtomicU16::new(status));
        let asked = Arc::new(AtomicUsize::new(0));
        let (now, count) = (Arc::clone(&status), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, acceptor.clone(), Arc::clone(&now), Arc::clone(&count)));
            }
        });
        Self { address, status, asked }
    }

    fn answers(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// Returns once it was asked a second time, so that its first answer is known.
    async fn is_known(&self) {
        eventually("it is asked", async || self.asked.load(Ordering::Relaxed) > 1).await;
    }
}

async fn serve(
    mut stream: TcpStream,
    acceptor: TlsAcceptor,
    status: Arc<AtomicU16>,
    asked: Arc<AtomicUsize>,
) {
    const HANDSHAKE: u8 = 22;
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1) if first[0] == HANDSHAKE => {}
        _ => {
            stream.write_all(b"local").await.ok();
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.ok();
            return;
        }
    }
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let mut request = [0; 1024];
    let length = stream.read(&mut request).await.unwrap_or(0);
    let status = match request[..length].starts_with(b"GET /readyz HTTP/1.1\r\n") {
        true => {
            asked.fetch_add(1, Ordering::Relaxed);
            status.load(Ordering::Relaxed)
        }
        false => 404,
    };
    let answer = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.ok();
    stream.shutdown().await.ok();
}

/// A connection by the balancer to the one that greets so.
async fn connection(balancer: &Running, greeting: &str) -> TcpStream {
    let mut stream = TcpStream::connect(balancer.address).await.unwrap();
    stream.write_all(b"?").await.unwrap();
    let mut read = vec![0; greeting.len()];
    stream.read_exact(&mut read).await.unwrap();
    assert_eq!(read, greeting.as_bytes());
    stream
}

#[tokio::test]
async fn a_local_one_that_is_not_ready_loses_its_connections_to_the_others_until_it_is() {
    let (remote, local) = (Backend::new("remote").await, Master::new(200).await);
    let backends = Backends::Fixed(vec![remote.address, local.address]);
    let balancer = Running::asking(backends, local.address.ip()).await;
    let mut stream = connection(&balancer, "local").await;

    local.answers(500);
    assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0, "the connection is closed");
    for _ in 0..5 {
        connection(&balancer, "remote").await;
    }
    local.answers(200);
    eventually("the local one is used again", async || balancer.reached().await == "local").await;
}

#[tokio::test]
async fn a_lone_one_that_is_not_ready_any_more_frees_who_waits_and_is_still_used() {
    let local = Master::new(200).await;
    let balancer = Running::asking(Backends::Fixed(vec![local.address]), local.address.ip()).await;
    local.is_known().await;
    let mut waiting = connection(&balancer, "local").await;
    local.answers(500);
    assert_eq!(waiting.read(&mut [0]).await.unwrap_or(0), 0, "the connection is closed");
    let mut next = connection(&balancer, "local").await;
    eventually("it is found out of order", async || !balancer.is_ready().await).await;
    local.answers(200);
    eventually("it is ready again", async || balancer.is_ready().await).await;
    next.write_all(b"?").await.unwrap();
    let silence = tokio::time::timeout(std::time::Duration::from_millis(100), next.read(&mut [0])).await;
    assert!(silence.is_err(), "later ones are not closed");
}

#[tokio::test]
async fn a_lone_one_that_was_not_ready_yet_keeps_its_connections() {
    let local = Master::new(500).await;
    let balancer = Running::asking(Backends::Fixed(vec![local.address]), local.address.ip()).await;
    eventually("it is found out of order", async || !balancer.is_ready().await).await;
    let mut stream = connection(&balancer, "local").await;
    let silence = tokio::time::timeout(std::time::Duration::from_millis(300), stream.read(&mut [0])).await;
    assert!(silence.is_err(), "the connection stays");
}
