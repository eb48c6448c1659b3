use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer, as it came over the wire.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The error code of the registry.
    pub(crate) fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        body["errors"][0]["code"].as_str().unwrap().to_owned()
    }
}

/// Asks once, on a connection of its own. `headers` are whole lines.
pub(crate) async fn ask(address: SocketAddr, method: &str, target: &str, headers: &[&str]) -> Reply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    send(&mut stream, method, target, headers).await;
    read_reply(&mut stream, method != "HEAD").await.expect("an answer")
}

pub(crate) async fn get(address: SocketAddr, target: &str) -> Reply {
    ask(address, "GET", target, &[]).await
}

pub(crate) async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    method: &str,
    target: &str,
    headers: &[&str],
) {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
}

/// Sends bytes as they are, closes our side, and reads all that comes.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads one answer; `None` if the connection ends before it does.
pub(crate) async fn read_reply(stream: &mut (impl AsyncRead + Unpin), with_body: bool) -> Option<Reply> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut reply = Reply { status, head, body: Vec::new() };
    if with_body && let Some(length) = reply.header("Content-Length") {
        reply.body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut reply.body).await.ok()?;
    }
    Some(reply)
}
