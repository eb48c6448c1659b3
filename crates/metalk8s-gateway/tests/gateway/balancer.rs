use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use metalk8s_gateway::balancer::{Probe, Readiness};
use metalk8s_gateway::{Backends, Balancer, BalancerConfig, StartError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use crate::client::get;
use crate::eventually;

/// A backend that says its name, then sends back what it gets until the client has closed its side, and then
/// says `end`.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    name: String,
    deafen: oneshot::Sender<()>,
    task: AbortHandle,
}

impl Backend {
    async fn start(name: &str, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let greeting = name.to_owned();
        let (deafen, deaf) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            let mut deaf = std::pin::pin!(deaf);
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    _ = deaf.as_mut() => break,
                };
                let (mut stream, _) = accepted.unwrap();
                let greeting = greeting.clone();
                connections.spawn(async move {
                    stream.write_all(greeting.as_bytes()).await.ok();
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await.ok();
                    write.write_all(b"end").await.ok();
                });
            }
            drop(listener);
            std::future::pending::<()>().await;
        });
        Self { address, name: name.to_owned(), deafen, task: task.abort_handle() }
    }

    pub(crate) async fn new(name: &str) -> Self {
        Self::start(name, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
    }

    /// It listens no more, but keeps its connections.
    fn deafen(self) -> AbortHandle {
        self.deafen.send(()).unwrap();
        self.task
    }

    /// Nobody listens any more, and its connections are closed.
    async fn kill(self) -> SocketAddr {
        let address = self.address;
        self.task.abort();
        eventually("the backend is down", async || TcpStream::connect(address).await.is_err()).await;
        address
    }
}

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    health: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(backends: Backends, local: Option<IpAddr>) -> Self {
        let probe = Probe {
            interval: Duration::from_millis(20),
            retry: Duration::from_millis(20),
            timeout: Duration::from_secs(1),
            readiness: None,
        };
        Self::start_with(backends, local, probe).await
    }

    /// The local one is asked whether it is ready.
    pub(crate) async fn asking(backends: Backends, local: IpAddr) -> Self {
        let often = Duration::from_millis(20);
        let timeout = Duration::from_secs(1);
        let readiness = Some(Readiness { interval: often, timeout });
        Self::start_with(backends, Some(local), Probe { interval: often, retry: often, timeout, readiness })
            .await
    }

    async fn start_with(backends: Backends, local: Option<IpAddr>, probe: Probe) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = BalancerConfig {
            listen: any,
            health: any,
            local,
            probe,
            drain_time: Duration::from_millis(50),
            ..BalancerConfig::new(backends)
        };
        let balancer = Balancer::bind(config).await.unwrap();
        let (address, health) = (balancer.address(), balancer.health_address());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(balancer.serve(async {
            stopped.await.ok();
        }));
        Self { address, health, stop, task }
    }

    /// Which backend a new connection reaches; empty if none.
    pub(crate) async fn reached(&self) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok();
        text.trim_end_matches("end").to_owned()
    }

    pub(crate) async fn is_ready(&self) -> bool {
        get(self.health, "/readyz").await.status == 200
    }
}

async fn greeted(stream: &mut TcpStream, name: &str) {
    let mut greeting = vec![0; name.len()];
    stream.read_exact(&mut greeting).await.unwrap();
    assert_eq!(greeting, name.as_bytes());
}

fn other_loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 2], 0))
}

fn write_list(path: &Path, backends: &[SocketAddr]) {
    let text: String = backends.iter().map(|backend| format!("{backend}\n")).collect();
    std::fs::write(path.with_extension("new"), text).unwrap();
    std::fs::rename(path.with_extension("new"), path).unwrap();
}

#[tokio::test]
async fn bytes_pass_both_ways_and_half_closing_is_kept() {
    let backend = Backend::new("a").await;
    let balancer = Running::start(Backends::Fixed(vec![backend.address]), None).await;
    let mut stream = TcpStream::connect(balancer.address).await.unwrap();
    greeted(&mut stream, &backend.name).await;
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
    let (mut read, mut write) = stream.split();
    let mut received = Vec::new();
    let writing = async {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let (_, read) = tokio::join!(writing, read.read_to_end(&mut received));
    read.unwrap();
    assert!(received.ends_with(b"end"), "the backend could still speak after the client had closed its side");
    assert!(received[..sent.len()] == sent);
}

#[tokio::test]
async fn the_local_one_is_used_while_it_lives_and_again_when_it_is_back() {
    let remote = Backend::new("remote").await;
    let local = Backend::start("local", other_loopback()).await;
    let backends = Backends::Fixed(vec![remote.address, local.address]);
    let balancer = Running::start(backends, Some(local.address.ip())).await;
    for _ in 0..5 {
        assert_eq!(balancer.reached().await, "local");
    }
    let address = local.kill().await;
    for _ in 0..5 {
        assert_eq!(balancer.reached().await, "remote");
    }
    let _back = Backend::start("local again", address).await;
    eventually("the local one is used again", async || balancer.reached().await == "local again").await;
}

#[tokio::test]
async fn the_others_take_turns() {
    let (one, two) = (Backend::new("one").await, Backend::new("two").await);
    let nowhere = IpAddr::from([192, 0, 2, 1]);
    let balancer = Running::start(Backends::Fixed(vec![one.address, two.address]), Some(nowhere)).await;
    let mut reached = Vec::new();
    for _ in 0..10 {
        reached.push(balancer.reached().await);
    }
    assert!(
        reached.iter().any(|name| name == "one") && reached.iter().any(|name| name == "two"),
        "{reached:?}"
    );
}

#[tokio::test]
async fn without_any_backend_clients_are_closed_and_the_program_stays_healthy() {
    // At the balancer's own address its port might become the balancer's.
    let address = Backend::start("gone", other_loopback()).await.kill().await;
    let balancer = Running::start(Backends::Fixed(vec![address]), None).await;
    assert_eq!(balancer.reached().await, "");
    eventually("not ready", async || !balancer.is_ready().await).await;
    assert_eq!(get(balancer.health, "/healthz").await.text(), "ok");
    let metrics = get(balancer.health, "/metrics").await;
    assert!(metrics.text().contains(&format!("metalk8s_balancer_backend_up{{backend=\"{address}\"}} 0\n")));

    let _back = Backend::start("back", address).await;
    eventually("ready again", async || balancer.is_ready().await).await;
    assert_eq!(balancer.reached().await, "back");
}

#[tokio::test]
async fn the_file_is_followed_and_connections_to_removed_backends_are_closed() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("apiservers");
    let (old, new) = (Backend::new("old").await, Backend::new("new").await);
    write_list(&list, &[old.address]);
    let balancer = Running::start(Backends::File(list.clone()), None).await;
    let mut stream = TcpStream::connect(balancer.address).await.unwrap();
    greeted(&mut stream, "old").await;

    write_list(&list, &[new.address]);
    assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0, "the old connection is closed");
    assert_eq!(balancer.reached().await, "new");
}

#[tokio::test]
async fn connections_to_a_backend_that_accepts_no_more_are_closed_when_there_is_another() {
    let (one, two) = (Backend::new("one").await, Backend::start("two", other_loopback()).await);
    let backends = Backends::Fixed(vec![one.address, two.address]);
    let balancer = Running::start(backends, Some(two.address.ip())).await;
    let mut stream = TcpStream::connect(balancer.address).await.unwrap();
    greeted(&mut stream, "two").await;
    two.deafen();
    assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0, "the connection is closed");
    assert_eq!(balancer.reached().await, "one");
}

#[tokio::test]
async fn a_stop_under_load_ends_all_connections() {
    let backend = Backend::new("a").await;
    let balancer = Running::start(Backends::Fixed(vec![backend.address]), None).await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(balancer.address).await.unwrap();
        greeted(&mut stream, "a").await;
        streams.push(stream);
    }
    balancer.stop.send(()).unwrap();
    for stream in &mut streams {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.ok();
    }
    balancer.task.await.unwrap();
    assert!(TcpStream::connect(balancer.address).await.is_err());
}

#[tokio::test]
async fn a_start_without_backends_is_refused() {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    for backends in [Backends::Fixed(Vec::new()), Backends::File("/nonexistent/list".into())] {
        let config = BalancerConfig { listen: any, health: any, ..BalancerConfig::new(backends) };
        assert!(matches!(Balancer::bind(config).await, Err(StartError::Backends(_))));
    }
}
