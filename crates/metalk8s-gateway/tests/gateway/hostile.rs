use std::os::unix::fs::symlink;
use std::time::Duration;

use metalk8s_gateway::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::archive::Archive;
use crate::client::{get, raw, read_reply, send};
use crate::server::Running;

#[tokio::test]
async fn no_path_leads_out_of_the_packages() {
    let archive = Archive::new();
    std::fs::write(archive.root.path().join("outside"), "outside").unwrap();
    symlink("../../outside", archive.path.join("packages/link")).unwrap();
    symlink("/", archive.path.join("packages/slash")).unwrap();
    let server = Running::start(archive.root.path()).await;
    for (target, status) in [
        ("/metalk8s-0.1.0/../outside", 400),
        ("/metalk8s-0.1.0/../../../../etc/passwd", 400),
        ("/metalk8s-0.1.0/%2e%2e/outside", 400),
        ("/metalk8s-0.1.0/%2e%2e%2foutside", 400),
        ("/metalk8s-0.1.0/.%2E/secret.txt", 400),
        ("/../etc/passwd", 400),
        ("/..", 400),
        ("/v2/metalk8s-0.1.0/../../etc/passwd", 400),
        ("/metalk8s-0.1.0/debian%00/x", 400),
        ("/metalk8s-0.1.0/%", 400),
        ("/metalk8s-0.1.0/%ff", 400),
        ("/metalk8s-0.1.0/%252e%252e/outside", 404),
        ("/metalk8s-0.1.0/..%5coutside", 404),
        ("/metalk8s-0.1.0//etc/passwd", 404),
        ("//etc/passwd", 404),
        ("/metalk8s-0.1.0/link", 404),
        ("/metalk8s-0.1.0/slash/etc/passwd", 404),
        ("/metalk8s-0.1.0/bin/../secret.txt", 400),
        ("/.git/config", 404),
        ("http://elsewhere/metalk8s-0.1.0/link", 404),
    ] {
        let reply = get(server.address, target).await;
        assert_eq!(reply.status, status, "{target}");
        assert!(!reply.text().contains("outside") && !reply.text().contains("root:"), "{target}");
    }
}

#[tokio::test]
async fn what_is_no_request_is_answered_and_closed() {
    let archive = Archive::new();
    let server = Running::start(archive.root.path()).await;
    let long = "a".repeat(10_000);
    for (bytes, status) in [
        ("GET\r\n\r\n".to_owned(), "400"),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}".to_owned(), "400"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n".to_owned(), "505"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "505"),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), "414"),
        (format!("GET /{long}{long}"), "414"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}{long}"), "431"),
    ] {
        let answer = raw(server.address, bytes.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{status}");
    }
    assert_eq!(get(server.address, "/healthz").await.status, 200);
}

#[tokio::test]
async fn a_body_is_not_taken_for_the_next_request() {
    let archive = Archive::new();
    let server = Running::start(archive.root.path()).await;
    let smuggled = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    for header in [format!("Content-Length: {}", smuggled.len()), "Transfer-Encoding: chunked".to_owned()] {
        for method in ["GET", "POST"] {
            let bytes = format!("{method} /nothing HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n{smuggled}");
            let answer = raw(server.address, bytes.as_bytes()).await;
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        }
    }
}

#[tokio::test]
async fn a_client_that_sends_too_slowly_is_told_and_closed() {
    let archive = Archive::new();
    let limits = Limits { head_time: Duration::from_millis(50), ..Limits::default() };
    let server = Running::start_with(archive.root.path(), limits, None).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    let reply = read_reply(&mut stream, true).await.unwrap();
    assert_eq!(reply.status, 408);
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_client_that_is_idle_is_closed_without_a_word() {
    let archive = Archive::new();
    let limits = Limits { idle_time: Duration::from_millis(50), ..Limits::default() };
    let server = Running::start_with(archive.root.path(), limits, None).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_client_that_takes_no_bytes_is_cut_off() {
    let mut archive = Archive::new();
    // More than the socket's buffers on both sides can take.
    let layer = archive.image("etcd:1", &vec![7; 64 * 1024 * 1024]).layer;
    let limits = Limits { stall_time: Duration::from_millis(200), ..Limits::default() };
    let server = Running::start_with(archive.root.path(), limits, None).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    send(&mut stream, "GET", &format!("/v2/metalk8s-0.1.0/etcd/blobs/{layer}"), &[]).await;
    crate::eventually("the answer is given up", async || {
        get(server.address, "/metrics")
            .await
            .text()
            .contains("metalk8s_repositories_broken_answers_total 1\n")
    })
    .await;
    assert!(read_reply(&mut stream, true).await.is_none(), "the answer must not look complete");
}

#[tokio::test]
async fn clients_beyond_the_limit_wait_and_are_served() {
    let archive = Archive::new();
    let limits = Limits { connections: 2, ..Limits::default() };
    let server = Running::start_with(archive.root.path(), limits, None).await;
    let replies = futures::future::join_all((0..20).map(|_| async {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        send(&mut stream, "GET", "/healthz", &["Connection: close"]).await;
        read_reply(&mut stream, true).await.unwrap().status
    }))
    .await;
    assert_eq!(replies, [200; 20]);
}

#[tokio::test]
async fn a_client_cannot_keep_the_last_place() {
    let archive = Archive::new();
    let limits = Limits { connections: 1, ..Limits::default() };
    let server = Running::start_with(archive.root.path(), limits, None).await;
    let mut greedy = TcpStream::connect(server.address).await.unwrap();
    send(&mut greedy, "GET", "/healthz", &[]).await;
    let reply = read_reply(&mut greedy, true).await.unwrap();
    assert_eq!(reply.header("Connection"), Some("close"));
    assert_eq!(get(server.address, "/healthz").await.status, 200);
}
