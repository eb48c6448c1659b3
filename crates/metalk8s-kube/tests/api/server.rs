//! A kube-apiserver with its etcd, on loopback, in a folder of its own.

use std::{
    fs::{self, File},
    net::TcpListener,
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Weak},
    time::Duration,
};

use kube::{Client, Config, config::Kubeconfig};
use metalk8s_kube::{Cluster, Fleet};
use metalk8s_pki::{AuthorityMaterial, Request, Usage, authority, issue, key_pair, kubeconfig};
use tempfile::TempDir;
use tokio::{sync::Mutex, time::Instant};

const HOW_TO_BUILD: &str = "These tests need the built programs `kubernetes` and `etcd`: build them with \
                            `./doit.sh components:kubernetes components:etcd`, or name a folder that has \
                            both in METALK8S_TEST_BIN";

/// How long anything may take to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server that tests share for as long as one of them uses it.
static SHARED: Mutex<Weak<Server>> = Mutex::const_new(Weak::new());

/// Programs, keys and data; programs end with it.
pub(crate) struct Server {
    folder: TempDir,
    ca: AuthorityMaterial,
    etcd: Option<Child>,
    api: Option<Child>,
}

impl Server {
    /// A running server that other tests use too.
    pub(crate) async fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().await;
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let mut server = Self::prepare();
        server.start().await;
        let server = Arc::new(server);
        *shared = Arc::downgrade(&server);
        server
    }

    /// A server that does not run, and has no kubeconfig yet.
    pub(crate) fn prepare() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, program) in [("etcd", "etcd"), ("kube-apiserver", "kubernetes")] {
            symlink(binary(program), folder.path().join(name)).unwrap();
        }
        let ca =
            AuthorityMaterial::from(authority("kubernetes", 10 * 86_400, jiff::Timestamp::now()).unwrap());
        let server = Self { folder, ca, etcd: None, api: None };
        server.write("ca.crt", &server.ca.certificate_pem);
        let tls = server.issue(&server.ca, "kube-apiserver", &[], Usage::Server);
        server.write("apiserver.crt", &tls.certificate_pem);
        server.write("apiserver.key", &tls.key_pem);
        let tokens = key_pair().unwrap();
        server.write("sa.key", &tokens.private_pem);
        server.write("sa.pub", &tokens.public_pem);
        server
    }

    /// A client with all rights, whose kubeconfig is written by [`Server::start`].
    pub(crate) fn cluster(&self) -> Cluster {
        Cluster::lazy(self.path("admin.conf"))
    }

    /// The bus of this cluster, with all rights.
    pub(crate) fn fleet(&self) -> Fleet {
        Fleet::lazy(self.path("admin.conf"))
    }

    /// A client that trusts, and is trusted by, another authority.
    pub(crate) fn stranger(&self) -> Cluster {
        let ca =
            AuthorityMaterial::from(authority("kubernetes", 10 * 86_400, jiff::Timestamp::now()).unwrap());
        let text = fs::read_to_string(self.path("admin.conf")).unwrap();
        let server = text.lines().find_map(|line| line.trim().strip_prefix("server: ")).unwrap();
        let server = server.trim_matches(['"', '\'']);
        self.write("stranger.conf", &self.admin(&ca, server));
        Cluster::lazy(self.path("stranger.conf"))
    }

    /// Starts what does not run, on a port that is free now, and waits until it serves.
    pub(crate) async fn start(&mut self) {
        if self.etcd.is_none() {
            self.etcd = Some(self.start_etcd());
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        self.api = Some(self.start_api(port));
        self.write("admin.conf.new", &self.admin(&self.ca, &format!("https://127.0.0.1:{port}")));
        fs::rename(self.path("admin.conf.new"), self.path("admin.conf")).unwrap();
        let client = self.client().await;
        eventually(&format!("the API server, see {}", self.path("api.log").display()), async || {
            let exited = self.api.as_mut().unwrap().try_wait().unwrap();
            assert!(exited.is_none(), "kube-apiserver ended: {}", self.log("api.log"));
            let request = http_get("/readyz");
            client.request_text(request).await.is_ok_and(|answer| answer == "ok").then_some(())
        })
        .await;
    }

    /// Ends the API server; etcd and its data stay.
    pub(crate) async fn stop_api(&mut self) {
        end(&mut self.api);
    }

    fn start_etcd(&self) -> Child {
        // Sockets in the folder need no ports; the advertised addresses are never used by a lone member.
        let socket = |name: &str| format!("unix://{}", self.path(name).display());
        self.run(
            "etcd",
            "etcd.log",
            &[
                ("data-dir", self.path("data").display().to_string()),
                ("listen-client-urls", socket("client.sock")),
                ("listen-peer-urls", socket("peer.sock")),
                ("advertise-client-urls", "http://127.0.0.1:1".into()),
                ("initial-advertise-peer-urls", "http://127.0.0.1:1".into()),
                ("initial-cluster", "default=http://127.0.0.1:1".into()),
                ("unsafe-no-fsync", "true".into()),
            ],
        )
    }

    fn start_api(&self, port: u16) -> Child {
        let path = |name: &str| self.path(name).display().to_string();
        self.run(
            "kube-apiserver",
            "api.log",
            &[
                ("etcd-servers", format!("unix://{}", path("client.sock"))),
                ("bind-address", "127.0.0.1".into()),
                ("secure-port", port.to_string()),
                ("tls-cert-file", path("apiserver.crt")),
                ("tls-private-key-file", path("apiserver.key")),
                ("client-ca-file", path("ca.crt")),
                ("cert-dir", path("certificates")),
                ("service-account-issuer", "https://kubernetes.default.svc".into()),
                ("service-account-key-file", path("sa.pub")),
                ("service-account-signing-key-file", path("sa.key")),
                ("service-cluster-ip-range", "10.96.0.0/16".into()),
                ("authorization-mode", "RBAC".into()),
                ("anonymous-auth", "false".into()),
                ("allow-privileged", "true".into()),
                // Without a controller manager nobody makes the ServiceAccounts that it asks for.
                ("disable-admission-plugins", "ServiceAccount".into()),
            ],
        )
    }

    fn run(&self, program: &str, log: &str, flags: &[(&str, String)]) -> Child {
        let log = File::options().create(true).append(true).open(self.path(log)).unwrap();
        Command::new(self.path(program))
            .args(flags.iter().map(|(flag, value)| format!("--{flag}={value}")))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    async fn client(&self) -> Client {
        let text = fs::read_to_string(self.path("admin.conf")).unwrap();
        let kubeconfig = Kubeconfig::from_yaml(&text).unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
        Client::try_from(config).unwrap()
    }

    fn admin(&self, ca: &AuthorityMaterial, server: &str) -> String {
        let issued = self.issue(ca, "kubernetes-admin", &["system:masters"], Usage::Client);
        kubeconfig(server, "test", "admin", &ca.certificate_pem, &issued.certificate_pem, &issued.key_pem)
    }

    fn issue(
        &self,
        ca: &AuthorityMaterial,
        name: &str,
        organizations: &[&str],
        usage: Usage,
    ) -> metalk8s_pki::Issued {
        let request = Request {
            common_name: name.to_owned(),
            organizations: organizations.iter().map(|name| (*name).to_owned()).collect(),
            usages: vec![usage],
            addresses: if usage == Usage::Server { vec![[127, 0, 0, 1].into()] } else { Vec::new() },
            lifetime_seconds: 5 * 86_400,
            ..Request::default()
        };
        issue(ca, &request, jiff::Timestamp::now()).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn log(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.api);
        end(&mut self.etcd);
    }
}

fn end(program: &mut Option<Child>) {
    if let Some(mut program) = program.take() {
        let _ = program.kill();
        let _ = program.wait();
    }
}

/// Asks again and again until there is an answer.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = tokio::time::interval(Duration::from_millis(100));
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        pause.tick().await;
    }
}

fn http_get(path: &str) -> http::Request<Vec<u8>> {
    http::Request::get(path).body(Vec::new()).unwrap()
}

/// The program of this name: in the folder that is named, or the newest that was built on this computer.
fn binary(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("METALK8S_TEST_BIN") {
        let path = PathBuf::from(folder).join(name);
        assert!(path.is_file(), "{} is no program. {HOW_TO_BUILD}", path.display());
        return path;
    }
    let cache = metalk8s_types::cache_folder(|name| std::env::var_os(name)).expect(HOW_TO_BUILD);
    // The store of the build chain has a folder for each result.
    let results = fs::read_dir(cache.join("store")).into_iter().flatten().flatten();
    let programs = results.map(|result| result.path().join(name)).filter(|path| path.is_file());
    programs.max_by_key(|path| path.metadata().and_then(|found| found.modified()).ok()).expect(HOW_TO_BUILD)
}
