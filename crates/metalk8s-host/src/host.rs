//! The hands of a machine, and which hand does what.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use metalk8s_engine::{
    Change, Hands, State, StateError,
    state::{Condition, IssuingAuthority, Wait},
};
use metalk8s_pki::Usage;

use crate::{
    accounts, command,
    doing::Doing,
    extracted, files,
    firewall::{self, Wish},
    hosts, image, kernel_module, keys, loop_device, mount, packages, removed, repository,
    root::Root,
    service, static_pod, swap, sysctl, wait,
};

/// Files that we read whole are configurations, keys and lists of the kernel: never this large.
const MOST_TEXT: u64 = 16 << 20;

/// Makes states true on one machine, or in a root folder.
///
/// ```no_run
/// use metalk8s_engine::{Hands, State, state::File};
///
/// # async fn example() -> Result<(), metalk8s_engine::StateError> {
/// let host = metalk8s_host::Host::new();
/// let wish = State::File(File::text("/etc/motd", "hello\n"));
/// if let Some(change) = host.check(&wish).await? {
///     host.apply(&wish, &change).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Host {
    root: Root,
    programs: Programs,
    /// Held while a file that several states share is read, changed and written.
    edits: Mutex<()>,
    signatures: Option<Box<dyn Signatures>>,
    fingerprint_key: Option<PathBuf>,
}

/// Whoever gets certificates signed by authorities that are not on this host.
#[async_trait]
pub trait Signatures: std::fmt::Debug + Send + Sync {
    /// Asks `signer` to sign the request (PKCS #10, PEM) for these usages, and returns the certificate in PEM.
    async fn sign(&self, signer: &str, request_pem: &str, usages: &[Usage]) -> Result<String, StateError>;
}

/// Where programs are found.
#[derive(Debug)]
pub(crate) enum Programs {
    /// On the machine.
    Machine,
    /// In the root folder, and run there.
    Chroot(PathBuf),
    /// In this folder and nowhere else.
    Folder(PathBuf),
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// The machine this program runs on.
    pub fn new() -> Self {
        Self::with(Root::Machine, Programs::Machine)
    }

    /// A root folder: paths of states lie below it, and programs are run by chroot(8) in it.
    pub fn in_root(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self::with(Root::Folder(root.clone()), Programs::Chroot(root))
    }

    /// A root folder whose programs are the executables of another folder, run outside the root. For tests:
    /// nothing that is not in `programs` can be run, so the machine stays as it is.
    pub fn in_root_with_programs(root: impl Into<PathBuf>, programs: impl Into<PathBuf>) -> Self {
        Self::with(Root::Folder(root.into()), Programs::Folder(programs.into()))
    }

    fn with(root: Root, programs: Programs) -> Self {
        Self { root, programs, edits: Mutex::new(()), signatures: None, fingerprint_key: None }
    }

    /// The same host, which gets certificates signed there whose authority is elsewhere.
    #[must_use]
    pub fn with_signatures(mut self, signatures: impl Signatures + 'static) -> Self {
        self.signatures = Some(Box::new(signatures));
        self
    }

    /// The same host, which tells hidden texts apart with the key in this file, as soon as there is one
    /// ([`Change::fingerprint`]).
    #[must_use]
    pub fn with_fingerprints(mut self, key: impl Into<PathBuf>) -> Self {
        self.fingerprint_key = Some(key.into());
        self
    }

    pub(crate) fn fingerprint_key(&self) -> Option<&Path> {
        self.fingerprint_key.as_deref()
    }

    pub(crate) fn signatures(&self) -> Result<&dyn Signatures, StateError> {
        self.signatures.as_deref().ok_or_else(|| {
            StateError::new("the authority is on another node, and nobody is known here who could ask it")
        })
    }

    pub(crate) fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Makes an authority that signs in a root's place, with this key of the root in PEM, whatever is there.
    ///
    /// # Errors
    /// When the root's files are damaged, or its own cannot be written.
    pub fn make_issuing_authority(
        &self,
        wish: &IssuingAuthority,
        root_key_pem: &str,
    ) -> Result<(), StateError> {
        keys::issuing::make(self, wish, root_key_pem)
    }

    /// Makes the certificate of a root anew with its own key, in PEM, which may have come from elsewhere.
    ///
    /// # Errors
    /// When the key is another one's, or the file cannot be written.
    pub fn renew_authority(
        &self,
        certificate: &Path,
        key_pem: &str,
        lifetime_seconds: u64,
    ) -> Result<(), StateError> {
        keys::authority::again(self, certificate, key_pem, lifetime_seconds)
    }

    /// The path to give to the operating system.
    ///
    /// # Errors
    /// When a link on the way leads out of the host's root, or cannot be followed.
    pub fn real(&self, path: &Path) -> Result<PathBuf, StateError> {
        self.root.real(path).doing(|| format!("could not look up `{}`", path.display()))
    }

    /// The path under which programs of the host see a file.
    pub(crate) fn path_for_programs(&self, path: &Path) -> Result<PathBuf, StateError> {
        match self.programs {
            Programs::Machine | Programs::Chroot(_) => Ok(path.to_owned()),
            Programs::Folder(_) => self.real(path),
        }
    }

    /// The contents of a small file, links followed; `None` where there is none.
    pub(crate) fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, StateError> {
        let doing = || format!("could not read `{}`", path.display());
        match read_bounded(&self.real(path)?) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(err) => Err(err).doing(doing),
        }
    }

    /// The contents of a small text file; what is not UTF-8 is replaced.
    pub fn read_text(&self, path: &Path) -> Result<Option<String>, StateError> {
        Ok(self.read(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Whether something is at that path, links followed.
    pub(crate) fn exists(&self, path: &Path) -> bool {
        self.real(path).is_ok_and(|path| path.exists())
    }

    pub(crate) fn edit(&self) -> MutexGuard<'_, ()> {
        self.edits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    file.take(MOST_TEXT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_TEXT {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("the file has more than {MOST_TEXT} bytes"),
        ));
    }
    Ok(bytes)
}

/// The path itself, or the nearest one above it that exists.
pub(crate) fn first_existing(path: &Path) -> &Path {
    path.ancestors().find(|path| path.exists()).unwrap_or(path)
}

/// Whether nothing is there, not even a dangling link.
pub(crate) fn nothing_at(path: &Path) -> bool {
    fs::symlink_metadata(path)
        .is_err_and(|err| matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
}

#[async_trait]
impl Hands for Host {
    fn takes(&self, state: &State) -> bool {
        match state {
            State::Object(_) | State::NodeMetadata(_) | State::Backup(_) => false,
            State::Wait(Wait { until, .. }) => match until {
                Condition::Http { .. } | Condition::Socket(_) => true,
                Condition::NodeExists(_)
                | Condition::NodeReady(_)
                | Condition::RolledOut { .. }
                | Condition::PodReady { .. }
                | Condition::CrdEstablished(_)
                | Condition::SecretExists { .. } => false,
            },
            State::File(_)
            | State::Directory(_)
            | State::Symlink(_)
            | State::Absent(_)
            | State::FileEdit(_)
            | State::Extracted(_)
            | State::Removed(_)
            | State::Packages(_)
            | State::Repository(_)
            | State::Service(_)
            | State::Sysctl(_)
            | State::KernelModule(_)
            | State::LoopDevice(_)
            | State::Mount(_)
            | State::Swap(_)
            | State::HostsEntry(_)
            | State::User(_)
            | State::Group(_)
            | State::Opening(_)
            | State::Forwarding(_)
            | State::Command(_)
            | State::Image(_)
            | State::StaticPod(_)
            | State::KeyPair(_)
            | State::RandomKey(_)
            | State::Authority(_)
            | State::IssuingAuthority(_)
            | State::Certificate(_)
            | State::Kubeconfig(_)
            | State::Trial(_) => true,
        }
    }

    async fn check(&self, state: &State) -> Result<Option<Change>, StateError> {
        match state {
            State::File(wish) => files::file::check(self, wish).await,
            State::Directory(wish) => files::directory::check(self, wish),
            State::Symlink(wish) => files::symlink::check(self, wish),
            State::Absent(wish) => files::absent::check(self, wish),
            State::FileEdit(wish) => files::edit::check(self, wish),
            State::Extracted(wish) => extracted::check(self, wish).await,
            State::Removed(wish) => removed::check(self, wish).await,
            State::Packages(wish) => packages::check(self, wish).await,
            State::Repository(wish) => repository::check(self, wish),
            State::Service(wish) => service::check(self, wish).await,
            State::Sysctl(wish) => sysctl::check(self, wish),
            State::KernelModule(wish) => kernel_module::check(self, wish).await,
            State::LoopDevice(wish) => loop_device::check(self, wish).await,
            State::Mount(wish) => mount::check(self, wish),
            State::Swap(wish) => swap::check(self, wish),
            State::HostsEntry(wish) => hosts::check(self, wish),
            State::User(wish) => accounts::check_user(self, wish),
            State::Group(wish) => accounts::check_group(self, wish),
            State::Opening(wish) => firewall::check(self, Wish::Opening(wish)).await,
            State::Forwarding(wish) => firewall::check(self, Wish::Forwarding(wish)).await,
            State::Command(wish) => command::check(self, wish).await,
            State::Image(wish) => image::check(self, wish).await,
            State::StaticPod(wish) => static_pod::check(self, wish),
            State::KeyPair(wish) => keys::key_pair::check(self, wish),
            State::RandomKey(wish) => keys::random::check(self, wish),
            State::Authority(wish) => keys::authority::check(self, wish),
            State::IssuingAuthority(wish) => keys::issuing::check(self, wish),
            State::Certificate(wish) => keys::certificate::check(self, wish),
            State::Kubeconfig(wish) => keys::kubeconfig::check(self, wish),
            State::Wait(wish) => wait::check(self, wish).await,
            State::Trial(wish) => wish.check(),
            State::Object(_) | State::NodeMetadata(_) | State::Backup(_) => Err(not_ours()),
        }
    }

    async fn apply(&self, state: &State, change: &Change) -> Result<Change, StateError> {
        match state {
            State::File(wish) => files::file::apply(self, wish).await?,
            State::Directory(wish) => files::directory::apply(self, wish)?,
            State::Symlink(wish) => files::symlink::apply(self, wish)?,
            State::Absent(wish) => files::absent::apply(self, wish)?,
            State::FileEdit(wish) => files::edit::apply(self, wish)?,
            State::Extracted(wish) => extracted::apply(self, wish).await?,
            State::Removed(wish) => removed::apply(self, wish).await?,
            State::Packages(wish) => packages::apply(self, wish).await?,
            State::Repository(wish) => repository::apply(self, wish)?,
            State::Service(wish) => service::apply(self, wish).await?,
            State::Sysctl(wish) => sysctl::apply(self, wish)?,
            State::KernelModule(wish) => kernel_module::apply(self, wish).await?,
            State::LoopDevice(wish) => loop_device::apply(self, wish).await?,
            State::Mount(wish) => mount::apply(self, wish).await?,
            State::Swap(wish) => swap::apply(self, wish).await?,
            State::HostsEntry(wish) => hosts::apply(self, wish)?,
            State::User(wish) => accounts::apply_user(self, wish).await?,
            State::Group(wish) => accounts::apply_group(self, wish).await?,
            State::Opening(wish) => firewall::apply(self, Wish::Opening(wish)).await?,
            State::Forwarding(wish) => firewall::apply(self, Wish::Forwarding(wish)).await?,
            State::Command(wish) => return command::apply(self, wish).await,
            State::Image(wish) => image::apply(self, wish).await?,
            State::StaticPod(wish) => static_pod::apply(self, wish)?,
            State::KeyPair(wish) => keys::key_pair::apply(self, wish)?,
            State::RandomKey(wish) => keys::random::apply(self, wish)?,
            State::Authority(wish) => keys::authority::apply(self, wish)?,
            State::IssuingAuthority(wish) => keys::issuing::apply(self, wish)?,
            State::Certificate(wish) => keys::certificate::apply(self, wish).await?,
            State::Kubeconfig(wish) => keys::kubeconfig::apply(self, wish).await?,
            State::Wait(wish) => wait::apply(self, wish).await?,
            State::Trial(wish) => wish.apply(change)?,
            State::Object(_) | State::NodeMetadata(_) | State::Backup(_) => return Err(not_ours()),
        }
        Ok(change.clone())
    }

    async fn react(&self, state: &State) -> Result<Option<Change>, StateError> {
        match state {
            State::Service(wish) => service::react(self, wish).await,
            State::Command(wish) => command::react(self, wish).await,
            State::File(_)
            | State::Directory(_)
            | State::Symlink(_)
            | State::Absent(_)
            | State::FileEdit(_)
            | State::Extracted(_)
            | State::Removed(_)
            | State::Packages(_)
            | State::Repository(_)
            | State::Sysctl(_)
            | State::KernelModule(_)
            | State::LoopDevice(_)
            | State::Mount(_)
            | State::Swap(_)
            | State::HostsEntry(_)
            | State::User(_)
            | State::Group(_)
            | State::Opening(_)
            | State::Forwarding(_)
            | State::Image(_)
            | State::StaticPod(_)
            | State::KeyPair(_)
            | State::RandomKey(_)
            | State::Authority(_)
            | State::IssuingAuthority(_)
            | State::Certificate(_)
            | State::Kubeconfig(_)
            | State::Wait(_)
            | State::Trial(_) => Ok(None),
            State::Object(_) | State::NodeMetadata(_) | State::Backup(_) => Err(not_ours()),
        }
    }
}

fn not_ours() -> StateError {
    StateError::new("this state is not about a host")
}
