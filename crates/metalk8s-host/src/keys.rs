//! Keys, authorities and certificates, made on this host by `metalk8s-pki` and kept in its files.
//!
//! Of two files that belong together the private one is written first. So a private file alone is what a
//! killed run left, and is replaced; a public file alone means that somebody lost or moved the private one,
//! and is left for a person to decide.

pub(crate) mod authority;
pub(crate) mod certificate;
pub(crate) mod issuing;
pub(crate) mod key_pair;
pub(crate) mod kubeconfig;
pub(crate) mod random;

use std::path::Path;

use jiff::Timestamp;
use metalk8s_engine::{
    Change, ChangeKind, StateError,
    state::{Readers, Signer, Subject, Usage},
};
use metalk8s_pki::{AuthorityMaterial, Issued, NewRequest, Request};

use crate::{
    Host,
    doing::Doing,
    files::{
        draft::replace,
        owner::{Numbers, Wished},
    },
};

/// The mode of what everybody may read.
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

/// Makes a key with a certificate for it, signed by whoever the wish names; `what` is what they are for.
async fn made(host: &Host, signer: &Signer, request: &Request, what: &str) -> Result<Issued, StateError> {
    let doing = || format!("could not make {what}");
    match signer {
        Signer::Here { certificate, key } => {
            metalk8s_pki::issue(&authority_of(host, certificate, key)?, request, now()).doing(doing)
        }
        Signer::Api(signer) => {
            let NewRequest { request_pem, key_pem } =
                metalk8s_pki::certificate_request(request).doing(doing)?;
            let certificate_pem = host.signatures()?.sign(signer, &request_pem, &request.usages).await?;
            Ok(Issued { certificate_pem, key_pem })
        }
    }
}

/// The authority that signs, which must be there.
fn authority_of(host: &Host, certificate: &Path, key: &Path) -> Result<AuthorityMaterial, StateError> {
    let read = |path: &Path| {
        host.read_text(path)?.ok_or_else(|| {
            StateError::new(format!("the authority's file `{}` does not exist", path.display()))
        })
    };
    Ok(AuthorityMaterial { certificate_pem: read(certificate)?, key_pem: read(key)? })
}

fn request(subject: &Subject, usages: &[Usage], lifetime_seconds: u64) -> Request {
    let usage = |usage: &Usage| match usage {
        Usage::Server => metalk8s_pki::Usage::Server,
        Usage::Client => metalk8s_pki::Usage::Client,
    };
    Request {
        common_name: subject.common_name.clone(),
        organizations: subject.organizations.clone(),
        usages: usages.iter().map(usage).collect(),
        lifetime_seconds,
        ..Request::default()
    }
}

/// A private file's owner, group and mode.
fn private(readers: &Readers) -> Wished<'_> {
    let Readers { user, group } = readers;
    Wished { mode: readers.mode(), user: Some(user), group: Some(group.as_deref().unwrap_or("root")) }
}

/// What changes where the owner, group or mode of a private file is not as it should be.
fn other_readers(host: &Host, path: &Path, readers: &Readers) -> Result<Option<Change>, StateError> {
    let differences = match std::fs::symlink_metadata(host.real(path)?) {
        Ok(found) => private(readers).differences(host, &found)?,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(err) => return Err(err).doing(|| format!("could not read `{}`", path.display())),
    };
    Ok((!differences.is_empty()).then(|| {
        Change::new(ChangeKind::Update, format!("change {}: {}", path.display(), differences.join(", ")))
    }))
}

/// Gives a private file its owner, group and mode.
fn own(host: &Host, path: &Path, readers: &Readers) -> Result<(), StateError> {
    let doing = || format!("could not change `{}`", path.display());
    let file = std::fs::File::open(host.real(path)?).doing(doing)?;
    crate::files::owner::give(&file, private(readers).numbers(host)?).doing(doing)
}

#[cfg(test)]
mod tests;
