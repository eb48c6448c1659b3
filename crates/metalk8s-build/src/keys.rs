//! The key that archives are signed with.
//!
//! A build makes one of its own, once per computer, in `<cache>/keys/archive.key` (0600). A release names its
//! key by the environment: `METALK8S_SIGNING_KEY=/path/of/key.pem`, Ed25519 in PEM.

use std::{
    env,
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use anyhow::Context as _;
use metalk8s_artifacts::signature::PrivateKey;

use crate::context::Context;

/// The environment variable that names a key.
pub const VARIABLE: &str = "METALK8S_SIGNING_KEY";

/// Reads the key; makes it when none was named and there is none yet.
pub fn signing_key(ctx: &Context) -> anyhow::Result<PrivateKey> {
    if let Some(path) = env::var_os(VARIABLE).map(PathBuf::from) {
        return read(&path).with_context(|| format!("{VARIABLE} names no usable key"));
    }
    let path = ctx.cache.join("keys/archive.key");
    match read(&path) {
        Err(err) if is_missing(&err) => {}
        read => return read,
    }
    let mut seed = [0; 32];
    fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut seed))
        .context("no randomness")?;
    let key = PrivateKey::from_seed(&seed);
    let failed = || format!("could not write the key `{}`", path.display());
    fs::create_dir_all(ctx.cache.join("keys")).with_context(failed)?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(mut file) => {
            file.write_all(key.to_pem().as_bytes()).and_then(|()| file.sync_all()).with_context(failed)?
        }
        // Another build was quicker.
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => return read(&path),
        Err(err) => return Err(err).with_context(failed),
    }
    Ok(key)
}

fn read(path: &std::path::Path) -> anyhow::Result<PrivateKey> {
    let text =
        fs::read_to_string(path).with_context(|| format!("could not read the key `{}`", path.display()))?;
    PrivateKey::parse(&text).with_context(|| format!("`{}` is no key", path.display()))
}

fn is_missing(err: &anyhow::Error) -> bool {
    err.root_cause().downcast_ref::<io::Error>().is_some_and(|err| err.kind() == io::ErrorKind::NotFound)
}
