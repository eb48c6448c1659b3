//! The other side: a machine with a folder, an SSH server and nothing but the programs that we may count on.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
};

use metalk8s_ssh::{Endpoint, Session};
use rand::rng;
use russh::{
    Channel, ChannelMsg, Disconnect, Sig,
    keys::{Algorithm, PrivateKey, PublicKey},
    server::{self, Auth, ChannelOpenHandle, Handle, Msg, VerifiedPublicKey},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    process::Command,
    sync::mpsc,
};

const PROGRAMS: [&str; 7] = ["cat", "chmod", "mkdir", "mv", "rm", "sha256sum", "sleep"];

/// What a machine has seen.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    sessions: Mutex<Vec<Handle>>,
    received: Mutex<u64>,
}

pub(crate) struct Machine {
    pub(crate) folder: TempDir,
    pub(crate) endpoint: Endpoint,
    log: Arc<Log>,
}

impl Machine {
    /// A machine that lets `root` in with a new key.
    pub(crate) async fn start() -> Self {
        let key = PrivateKey::random(&mut rng(), Algorithm::Ed25519).unwrap();
        Self::start_for(&key).await
    }

    pub(crate) async fn start_for(key: &PrivateKey) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        for program in PROGRAMS {
            let found = ["/usr/bin", "/bin"].map(|place| Path::new(place).join(program));
            symlink(found.iter().find(|path| path.exists()).unwrap(), bin.join(program)).unwrap();
        }
        let file = folder.path().join("key");
        keep_key(&file, key.to_openssh(Default::default()).unwrap().as_bytes());
        let log = Arc::new(Log::default());
        let host = PrivateKey::random(&mut rng(), Algorithm::Ed25519).unwrap();
        let address = serve(&[host], key.public_key(), bin, &log).await;
        let mut endpoint = Endpoint::new(address.ip().to_string(), file);
        endpoint.port = address.port();
        Self { folder, endpoint, log }
    }

    pub(crate) async fn session(&self) -> Session {
        Session::connect(&self.endpoint, None, &crate::options()).await.unwrap()
    }

    /// A path on the machine.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Puts a program of its own into the machine's path, in place of the real one.
    pub(crate) fn install(&self, name: &str, script: &str) {
        let path = self.folder.path().join("bin").join(name);
        let _ = fs::remove_file(&path);
        let new = path.with_extension("new");
        fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&new, PermissionsExt::from_mode(0o755)).unwrap();
        fs::rename(&new, &path).unwrap();
    }

    /// The lines that the machine's shell was given.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.log.lines.lock().unwrap().clone()
    }

    /// How many bytes commands were given to read.
    pub(crate) fn received(&self) -> u64 {
        *self.log.received.lock().unwrap()
    }

    /// Tries to open channels the other way round; tells how many of seven kinds are refused.
    pub(crate) async fn wants_in(&self) -> usize {
        let session = self.log.sessions.lock().unwrap()[0].clone();
        let refused = [
            session.channel_open_session().await.is_err(),
            session.channel_open_forwarded_tcpip("a", 22, "b", 1).await.is_err(),
            session.channel_open_forwarded_streamlocal("/a").await.is_err(),
            session.channel_open_direct_tcpip("a", 22, "b", 1).await.is_err(),
            session.channel_open_direct_streamlocal("/a").await.is_err(),
            session.channel_open_agent().await.is_err(),
            session.channel_open_x11("a", 1).await.is_err(),
        ];
        refused.into_iter().filter(|is_refused| *is_refused).count()
    }

    /// Ends all connections, with these last words.
    pub(crate) async fn cut(&self, words: &str) {
        let sessions = std::mem::take(&mut *self.log.sessions.lock().unwrap());
        for session in sessions {
            session.disconnect(Disconnect::ByApplication, words.to_owned(), String::new()).await.unwrap();
        }
    }
}

/// Writes a key that only its owner can read.
pub(crate) fn keep_key(path: &Path, text: &[u8]) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

async fn serve(host: &[PrivateKey], user: &PublicKey, bin: PathBuf, log: &Arc<Log>) -> SocketAddr {
    let config = server::Config {
        keys: host.to_vec(),
        auth_rejection_time: std::time::Duration::ZERO,
        // A full one stops the whole session, also the news that there is room for output again.
        channel_buffer_size: 100_000,
        ..server::Config::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (config, user, log) = (Arc::new(config), user.clone(), Arc::clone(log));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let guest = Guest { user: user.clone(), bin: bin.clone(), log: Arc::clone(&log) };
            let config = Arc::clone(&config);
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                if let Ok(session) = server::run_stream(config, stream, guest).await {
                    log.sessions.lock().unwrap().push(session.handle());
                    let _ = session.await;
                }
            });
        }
    });
    address
}

struct Guest {
    user: PublicKey,
    bin: PathBuf,
    log: Arc<Log>,
}

impl server::Handler for Guest {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let is_known = key.public_key.key_data() == self.user.key_data();
        Ok(if is_known && user != "nobody" { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        tokio::spawn(attend(channel, session.handle(), self.bin.clone(), Arc::clone(&self.log)));
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: russh::ChannelId,
        _: &[u8],
        session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }
}

/// Runs the command of one channel. As with OpenSSH, one whose connection is lost only finds its input at its end.
async fn attend(channel: Channel<Msg>, handle: Handle, bin: PathBuf, log: Arc<Log>) {
    let id = channel.id();
    let (mut reader, writer) = channel.split();
    let line = loop {
        match reader.wait().await {
            Some(ChannelMsg::Exec { command, .. }) => break String::from_utf8(command).unwrap(),
            Some(_) => {}
            None => return,
        }
    };
    log.lines.lock().unwrap().push(line.clone());
    let mut child = Command::new("/bin/sh")
        .arg("-c")
        .arg(line)
        .env_clear()
        .env("PATH", bin)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout, mut stderr) =
        (child.stdin.take(), child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (terminate, mut terminated) = mpsc::channel::<()>(1);
    let input = tokio::spawn(async move {
        while let Some(message) = reader.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    *log.received.lock().unwrap() += data.len() as u64;
                    if let Some(open) = &mut stdin
                        && open.write_all(&data).await.is_err()
                    {
                        stdin = None;
                    }
                }
                ChannelMsg::Eof => stdin = None,
                ChannelMsg::Signal { .. } => drop(terminate.send(()).await),
                _ => {}
            }
        }
    });
    let (mut out, mut err) = (vec![0; 8192], vec![0; 8192]);
    let (mut is_out, mut is_err) = (true, true);
    while is_out || is_err {
        tokio::select! {
            length = stdout.read(&mut out), if is_out => match length.unwrap() {
                0 => is_out = false,
                length => { let _ = writer.data_bytes(out[..length].to_vec()).await; }
            },
            length = stderr.read(&mut err), if is_err => match length.unwrap() {
                0 => is_err = false,
                length => { let _ = writer.extended_data_bytes(1, err[..length].to_vec()).await; }
            },
            Some(()) = terminated.recv() => {
                let line = format!("kill -TERM {}", child.id().unwrap());
                Command::new("/bin/sh").arg("-c").arg(line).status().await.unwrap();
            }
        }
    }
    let status = child.wait().await.unwrap();
    match status.code() {
        Some(code) => drop(writer.exit_status(code.unsigned_abs()).await),
        None => drop(handle.exit_signal_request(id, Sig::KILL, false, String::new(), String::new()).await),
    }
    let _ = writer.eof().await;
    let _ = writer.close().await;
    input.abort();
}
