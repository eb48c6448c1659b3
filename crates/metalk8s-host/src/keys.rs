//! Keys, authorities and certificates, made on this host by `metalk8s-pki` and kept in its files.
//!
//! Of two files that belong together the private one is written first. So a private file alone is what a
//! killed run left, and is replaced; a public file alone means that somebody lost or moved the private one,
//! and is left for a person to decide.

pub(crate) mod authority;
pub(crate) mod certificate;
pub(crate) mod key_pair;
pub(crate) mod kubeconfig;
pub(crate) mod random;

use std::path::Path;

use jiff::Timestamp;
use metalk8s_engine::{
    StateError,
    state::{Subject, Usage},
};
use metalk8s_pki::{AuthorityMaterial, Request};

use crate::{
    Host,
    doing::Doing,
    files::{
        draft::replace,
        owner::{Numbers, Wished},
    },
};

/// Of all private files.
const PRIVATE: u32 = 0o600;
/// Of what everybody may read.
const PUBLIC: u32 = 0o644;

fn now() -> Timestamp {
    Timestamp::now()
}

/// A PEM file; empty where there is none.
fn pem(host: &Host, path: &Path) -> Result<String, StateError> {
    Ok(host.read_text(path)?.unwrap_or_default())
}

fn write(host: &Host, path: &Path, text: &str, numbers: Numbers) -> Result<(), StateError> {
    replace(&host.real(path)?, text.as_bytes(), numbers)
        .doing(|| format!("could not write `{}`", path.display()))
}

/// The authority that signs, which must be there.
fn signer(host: &Host, certificate: &Path, key: &Path) -> Result<AuthorityMaterial, StateError> {
    let read = |path: &Path| {
        host.read_text(path)?.ok_or_else(|| {
            StateError::new(format!("the authority's file `{}` does not exist", path.display()))
        })
    };
    Ok(AuthorityMaterial { certificate_pem: read(certificate)?, key_pem: read(key)? })
}

fn request(subject: &Subject, usages: &[Usage], days: u32) -> Request {
    let usage = |usage: &Usage| match usage {
        Usage::Server => metalk8s_pki::Usage::Server,
        Usage::Client => metalk8s_pki::Usage::Client,
    };
    Request {
        common_name: subject.common_name.clone(),
        organizations: subject.organizations.clone(),
        usages: usages.iter().map(usage).collect(),
        days,
        ..Request::default()
    }
}

/// A private file's owner and mode.
fn private<'s>(user: Option<&'s String>, mode: u32) -> Wished<'s> {
    Wished { mode, user: Some(user.map_or("root", String::as_str)), group: None }
}

/// What is wrong with the owner and mode of a file that is there.
fn ownership(host: &Host, path: &Path, wished: Wished<'_>) -> Result<Vec<String>, StateError> {
    match std::fs::symlink_metadata(host.real(path)?) {
        Ok(found) => wished.differences(host, &found),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(err) => Err(err).doing(|| format!("could not read `{}`", path.display())),
    }
}

/// Gives a file its owner and mode.
fn own(host: &Host, path: &Path, wished: Wished<'_>) -> Result<(), StateError> {
    let doing = || format!("could not change `{}`", path.display());
    let file = std::fs::File::open(host.real(path)?).doing(doing)?;
    crate::files::owner::give(&file, wished.numbers(host)?).doing(doing)
}

#[cfg(test)]
mod tests;
