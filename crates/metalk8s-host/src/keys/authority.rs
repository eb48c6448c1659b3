//! Roots. Their keys may be elsewhere. Their certificates are renewed with the keys that they have, so that what they
//! signed stays good.

use std::path::Path;

use metalk8s_engine::{Change, ChangeKind, StateError, state::Authority};
use metalk8s_pki::{AuthorityMaterial, Part, Reason, authority_again, check_authority};

use super::{PUBLIC, now, other_readers, own, pem, private, write};
use crate::{Host, doing::Doing, files::owner::Numbers};

pub(crate) fn check(host: &Host, wish: &Authority) -> Result<Option<Change>, StateError> {
    let certificate = pem(host, &wish.certificate)?;
    let path = wish.certificate.display();
    if certificate.trim().is_empty() {
        let summary = format!("make the authority {} ({path})", wish.common_name);
        return Ok(Some(Change::new(ChangeKind::Create, summary)));
    }
    let key = pem(host, &wish.key)?;
    let reason = check_authority(&certificate, &key, &wish.common_name, now());
    match reason {
        None => other_readers(host, &wish.key, &wish.readers),
        Some(Reason::Missing(Part::Key)) => Ok(None),
        Some(reason @ (Reason::Due(_) | Reason::Expired(_))) => {
            let summary = format!("renew the authority {path} with its own key: {reason}");
            Ok(Some(Change::new(ChangeKind::Update, summary)))
        }
        Some(reason) => Err(StateError::new(format!(
            "the authority `{path}` cannot be used, and a new one would make everything signed by it void: \
             bring back its files from a backup"
        ))
        .because(reason.to_string())),
    }
}

pub(crate) fn apply(host: &Host, wish: &Authority) -> Result<(), StateError> {
    let certificate = pem(host, &wish.certificate)?;
    if !certificate.trim().is_empty() {
        check(host, wish)?;
        let key = pem(host, &wish.key)?;
        if key.trim().is_empty() {
            return Ok(());
        }
        if check_authority(&certificate, &key, &wish.common_name, now()).is_some() {
            again(host, &wish.certificate, &key, wish.lifetime_seconds)?;
        }
        return own(host, &wish.key, &wish.readers);
    }
    let numbers = private(&wish.readers).numbers(host)?;
    let made = metalk8s_pki::authority(&wish.common_name, wish.lifetime_seconds, now())
        .doing(|| format!("could not make the authority `{}`", wish.common_name))?;
    write(host, &wish.key, &made.key_pem, numbers)?;
    write(host, &wish.certificate, &made.certificate_pem, Numbers::root(PUBLIC))
}

/// Makes the certificate anew with this key of it, in PEM.
pub(crate) fn again(
    host: &Host,
    certificate: &Path,
    key_pem: &str,
    lifetime_seconds: u64,
) -> Result<(), StateError> {
    let current = AuthorityMaterial { certificate_pem: pem(host, certificate)?, key_pem: key_pem.to_owned() };
    let made = authority_again(&current, lifetime_seconds, now())
        .doing(|| format!("could not renew the authority `{}`", certificate.display()))?;
    write(host, certificate, &made, Numbers::root(PUBLIC))
}
