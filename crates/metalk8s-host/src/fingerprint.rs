//! What tells hidden texts apart: their HMAC (RFC 2104) with SHA-256 under a key that only this host has. A plan may
//! carry it: without the key nobody can try texts.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use hmac::{Hmac, KeyInit, Mac};
use metalk8s_engine::StateError;
use sha2::Sha256;

use crate::{Host, doing::Doing};

/// The fingerprint of a change from what a file holds to these bytes; `None` where the host has no key.
pub(crate) fn of(host: &Host, before: Option<&File>, after: &[u8]) -> Result<Option<String>, StateError> {
    let Some(path) = host.fingerprint_key() else { return Ok(None) };
    let Some(key) = host.read(path)?.filter(|key| !key.trim_ascii().is_empty()) else { return Ok(None) };
    let mut code = Hmac::<Sha256>::new_from_slice(key.trim_ascii()).expect("a key of any length is taken");
    code.update(&(after.len() as u64).to_le_bytes());
    code.update(after);
    if let Some(file) = before {
        code.update(b"before");
        add(&mut code, file).doing(|| "could not read what a file holds".to_owned())?;
    }
    Ok(Some(hex::encode(code.finalize().into_bytes())))
}

fn add(code: &mut Hmac<Sha256>, mut file: &File) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = vec![0; 64 << 10];
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(()),
            count => code.update(&bytes[..count]),
        }
    }
}
