//! The way to a machine that is made of bytes here. Included by checks of what such a machine says.

use std::{
    cell::RefCell,
    error::Error,
    fs::{File, Permissions},
    iter,
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, PermissionsExt},
    },
    time::Duration,
};

use metalk8s_ssh::{Endpoint, Options};
use russh::keys::{PrivateKey, ssh_key::LineEnding, ssh_key::private::Ed25519Keypair};
use tokio::{runtime::Builder, time::timeout};

/// Longer than any case takes, also beside much else.
pub(crate) const LONGEST: Duration = Duration::from_secs(30);
/// The longest line that is told, in bytes: 400 characters of what the machine says, and our own words.
const LONGEST_LINE: usize = 2_500;

/// Runs a case, which has to end by itself.
pub(crate) fn run<T>(case: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    runtime.block_on(async { timeout(LONGEST, case).await }).expect("a case ends by itself")
}

/// The machine, entered as root or, through `sudo`, as somebody else.
pub(crate) fn endpoint(sudo: bool) -> Endpoint {
    let user = if sudo { "admin" } else { "root" };
    let mut endpoint = Endpoint::new("machine", format!("/proc/self/fd/{}", key_file()));
    user.clone_into(&mut endpoint.user);
    endpoint.sudo = sudo;
    endpoint
}

pub(crate) fn options() -> Options {
    Options { connect_timeout: LONGEST, ..Options::default() }
}

/// The same key in each run: ours, and the machine's where it has one.
pub(crate) fn key() -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]))
}

/// An error and its causes as people see them, each in one line of a bounded length.
pub(crate) fn told(error: &(dyn Error + 'static)) -> String {
    let lines: Vec<String> =
        iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect();
    for line in &lines {
        assert!(!line.contains(char::is_control), "{line:?}");
        assert!(line.len() <= LONGEST_LINE, "{line:?}");
    }
    lines.join(": ")
}

/// A file without a name that holds our key: making files takes longer than reading them.
fn key_file() -> i32 {
    thread_local! {
        static FILE: RefCell<Option<File>> = const { RefCell::new(None) };
    }
    FILE.with_borrow_mut(|file| {
        let file = file.get_or_insert_with(|| {
            let text = key().to_openssh(LineEnding::LF).expect("a key can be written");
            let file = tempfile::tempfile().expect("a file can be made");
            file.set_permissions(Permissions::from_mode(0o600)).expect("it is ours");
            file.write_all_at(text.as_bytes(), 0).expect("a file can be written");
            file
        });
        file.as_raw_fd()
    })
}
