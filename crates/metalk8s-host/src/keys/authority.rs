//! Roots. Their keys may be elsewhere.

use metalk8s_engine::{Change, ChangeKind, StateError, state::Authority};
use metalk8s_pki::{Part, Reason, check_authority};

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
    if reason == Some(Reason::Missing(Part::Key)) {
        return Ok(None);
    }
    if let Some(reason) = reason {
        return Err(StateError::new(format!(
            "the authority `{path}` cannot be used, and a new one would make everything signed by it void: \
             bring back its files from a backup"
        ))
        .because(reason.to_string()));
    }
    other_readers(host, &wish.key, &wish.readers)
}

pub(crate) fn apply(host: &Host, wish: &Authority) -> Result<(), StateError> {
    if !pem(host, &wish.certificate)?.trim().is_empty() {
        check(host, wish)?;
        return if pem(host, &wish.key)?.trim().is_empty() {
            Ok(())
        } else {
            own(host, &wish.key, &wish.readers)
        };
    }
    let numbers = private(&wish.readers).numbers(host)?;
    let made = metalk8s_pki::authority(&wish.common_name, wish.lifetime_seconds, now())
        .doing(|| format!("could not make the authority `{}`", wish.common_name))?;
    write(host, &wish.key, &made.key_pem, numbers)?;
    write(host, &wish.certificate, &made.certificate_pem, Numbers::root(PUBLIC))
}
