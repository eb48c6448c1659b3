use std::sync::Arc;
use std::time::Duration;

use metalk8s_gateway::Limits;
use metalk8s_gateway::repositories::Digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::archive::{Archive, noise};
use crate::client::{get, raw, read_reply, send};
use crate::eventually;
use crate::server::Running;

#[tokio::test]
async fn requests_follow_one_another_on_one_connection() {
    let archive = Archive::new();
    let server = Running::start(archive.root.path()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for target in ["/healthz", "/nothing", "/metalk8s-0.1.0/bin/metalk8s"] {
        send(&mut stream, "GET", target, &[]).await;
        assert!(read_reply(&mut stream, true).await.is_some(), "{target}");
    }
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_in_order() {
    let archive = Archive::new();
    let server = Running::start(archive.root.path()).await;
    let bytes = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\n\r\n\
                 GET /metalk8s-0.1.0/bin/metalk8s HTTP/1.0\r\n\r\n";
    let answer = raw(server.address, bytes.as_bytes()).await;
    let statuses: Vec<&str> =
        answer.split("HTTP/1.1 ").skip(1).map(|part| part.split(' ').next().unwrap()).collect();
    assert_eq!(statuses, ["200", "404", "200"]);
    assert!(answer.ends_with("\r\n\r\nprogram"));
}

#[tokio::test]
async fn a_request_may_arrive_byte_by_byte() {
    let archive = Archive::new();
    let server = Running::start(archive.root.path()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in b"\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(read_reply(&mut stream, true).await.unwrap().text(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_get_whole_and_right_blobs_at_once() {
    let mut archive = Archive::new();
    let layers: Vec<Digest> = [0, 1, 16 * 1024, 32 * 1024 + 1, 1024 * 1024, 5_000_003]
        .into_iter()
        .enumerate()
        .map(|(number, len)| archive.image(&format!("image-{number}:1"), &noise(len)).layer)
        .collect();
    let server = Running::start(archive.root.path()).await;
    let address = server.address;
    let clients = (0..24).map(|client| {
        let layers = layers.clone();
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            for turn in 0..layers.len() {
                let number = (client + turn) % layers.len();
                let target = format!("/v2/metalk8s-0.1.0/image-{number}/blobs/{}", layers[number]);
                send(&mut stream, "GET", &target, &[]).await;
                let reply = read_reply(&mut stream, true).await.unwrap();
                assert_eq!(Digest::of(&reply.body), layers[number]);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_goes_leaves_only_whole_answers_and_not_found() {
    let mut archive = Archive::new();
    let layer = archive.image("etcd:1", &noise(2_000_000)).layer;
    let server = Running::start(archive.root.path()).await;
    let address = server.address;
    let archive = Arc::new(archive);
    let clients: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn(async move {
                loop {
                    let reply = get(address, &format!("/v2/metalk8s-0.1.0/etcd/blobs/{layer}")).await;
                    match reply.status {
                        200 => assert_eq!(Digest::of(&reply.body), layer),
                        404 => return,
                        status => panic!("{status}: {}", reply.text()),
                    }
                }
            })
        })
        .collect();
    eventually("the clients are at work", async || {
        get(address, "/metrics").await.text().lines().any(|line| {
            line.strip_prefix("metalk8s_repositories_sent_bytes_total ")
                .is_some_and(|bytes| bytes.parse::<u64>().unwrap() > 10_000_000)
        })
    })
    .await;
    let away = archive.remove();
    std::fs::remove_dir_all(away).unwrap();
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_running_answers_end_and_closes_the_idle() {
    let mut archive = Archive::new();
    let layer = archive.image("etcd:1", &noise(64 * 1024 * 1024)).layer;
    let server = Running::start(archive.root.path()).await;
    let address = server.address;
    let mut idle = TcpStream::connect(address).await.unwrap();
    send(&mut idle, "GET", "/healthz", &[]).await;
    read_reply(&mut idle, true).await.unwrap();
    let mut busy = TcpStream::connect(address).await.unwrap();
    send(&mut busy, "GET", &format!("/v2/metalk8s-0.1.0/etcd/blobs/{layer}"), &[]).await;
    let mut first = [0; 1];
    busy.read_exact(&mut first).await.unwrap();

    let stopping = server.stop();
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0, "the idle connection is closed");
    eventually("no new connection is accepted", async || TcpStream::connect(address).await.is_err()).await;
    assert!(!stopping.is_finished(), "the running answer is waited for");
    let mut rest = Vec::new();
    busy.read_to_end(&mut rest).await.unwrap();
    let start = rest.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(Digest::of(&rest[start..]), layer);
    stopping.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_ever() {
    let mut archive = Archive::new();
    let layer = archive.image("etcd:1", &noise(64 * 1024 * 1024)).layer;
    let limits = Limits { drain_time: Duration::from_millis(50), ..Limits::default() };
    let server = Running::start_with(archive.root.path(), limits, None).await;
    let mut stuck = TcpStream::connect(server.address).await.unwrap();
    send(&mut stuck, "GET", &format!("/v2/metalk8s-0.1.0/etcd/blobs/{layer}"), &[]).await;
    stuck.read_exact(&mut [0]).await.unwrap();
    server.stop().await.unwrap();
}
