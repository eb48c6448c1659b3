//! The private key that opens a machine.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use metalk8s_diagnostics::Secret;
use russh::keys::{self, PrivateKey};

use crate::ConnectError;

/// Far above the 12 KiB of an RSA key of 16384 bits.
const LARGEST: u64 = 64 * 1024;

/// Reads a key in one of the forms that `ssh-keygen` writes: OpenSSH's own, PKCS#1 or PKCS#8.
pub(crate) async fn load(path: &Path) -> Result<PrivateKey, ConnectError> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || read(path)).await.expect("reading a key does not panic")
}

fn read(path: PathBuf) -> Result<PrivateKey, ConnectError> {
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ConnectError::KeyMissing { path });
        }
        Err(source) => return Err(ConnectError::KeyUnreadable { path, source }),
    };
    let mode = metadata.permissions().mode() & 0o777;
    if metadata.is_file() && mode & 0o077 != 0 {
        return Err(ConnectError::KeyTooOpen { path, mode });
    }
    let mut text = String::new();
    match File::open(&path).and_then(|file| file.take(LARGEST).read_to_string(&mut text)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(ConnectError::KeyUnknown { path });
        }
        Err(source) => return Err(ConnectError::KeyUnreadable { path, source }),
    }
    decode(path, &Secret::new(text))
}

/// The cause of a failure is left out: a parser's message may quote what it read.
fn decode(path: PathBuf, text: &Secret<String>) -> Result<PrivateKey, ConnectError> {
    let text = text.expose();
    match keys::decode_secret_key(text, None) {
        Ok(key) => Ok(key),
        Err(keys::Error::KeyIsEncrypted) => Err(ConnectError::KeyEncrypted { path }),
        Err(_) if is_encrypted(text) => Err(ConnectError::KeyEncrypted { path }),
        Err(_) if text.starts_with("ssh-") || text.starts_with("ecdsa-") => {
            Err(ConnectError::KeyPublic { path })
        }
        Err(_) => Err(ConnectError::KeyUnknown { path }),
    }
}

fn is_encrypted(text: &str) -> bool {
    text.lines().any(|line| {
        line.starts_with("Proc-Type: 4,ENCRYPTED") || line.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY")
    })
}
