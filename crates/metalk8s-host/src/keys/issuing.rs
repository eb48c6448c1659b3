//! Authorities that sign in a root's place.

use std::path::Path;

use metalk8s_engine::{Change, ChangeKind, StateError, state::IssuingAuthority};
use metalk8s_pki::{
    AuthorityMaterial, Part, Reason, check_issuing_authority, issuing_authority, known_authorities,
};

use super::{PUBLIC, now, other_readers, own, pem, private, write};
use crate::{Host, doing::Doing, files::owner::Numbers};

/// How to make one where the root's key is not on this host.
const BY_HAND: &str = "`metalk8s authority renew --from` makes it with the root's key";

pub(crate) fn check(host: &Host, wish: &IssuingAuthority) -> Result<Option<Change>, StateError> {
    let path = wish.certificate.display();
    if let Some(reason) = renewal(host, wish)? {
        let change = match reason {
            Reason::Missing(Part::Certificate) => {
                Change::new(ChangeKind::Create, format!("make the authority {} ({path})", wish.common_name))
            }
            reason => Change::new(ChangeKind::Update, format!("renew the authority {path}: {reason}")),
        };
        return Ok(Some(change));
    }
    if let Some(known) = &wish.known
        && pem(host, known)? != known_now(host, wish, known)?
    {
        return Ok(Some(Change::new(ChangeKind::Update, format!("write {}", known.display()))));
    }
    other_readers(host, &wish.key, &wish.readers)
}

pub(crate) fn apply(host: &Host, wish: &IssuingAuthority) -> Result<(), StateError> {
    if renewal(host, wish)?.is_some() {
        return make(host, wish, &pem(host, &wish.root_key)?);
    }
    write_known(host, wish)?;
    own(host, &wish.key, &wish.readers)
}

/// Makes it with this key of its root, in PEM, whatever is there.
pub(crate) fn make(host: &Host, wish: &IssuingAuthority, root_key_pem: &str) -> Result<(), StateError> {
    let root = AuthorityMaterial {
        certificate_pem: pem(host, &wish.root_certificate)?,
        key_pem: root_key_pem.to_owned(),
    };
    let made = issuing_authority(&root, &wish.common_name, wish.lifetime_seconds, now())
        .doing(|| format!("could not make the authority `{}`", wish.common_name))?;
    // Killed in between, the two do not fit, which the next check sees.
    write(host, &wish.key, &made.key_pem, private(&wish.readers).numbers(host)?)?;
    write(host, &wish.certificate, &made.certificate_pem, Numbers::root(PUBLIC))?;
    write_known(host, wish)
}

fn write_known(host: &Host, wish: &IssuingAuthority) -> Result<(), StateError> {
    match &wish.known {
        Some(known) => write(host, known, &known_now(host, wish, known)?, Numbers::root(PUBLIC)),
        None => Ok(()),
    }
}

/// What is known where it is written now: the roots and those that sign in their place.
fn known_now(host: &Host, wish: &IssuingAuthority, known: &Path) -> Result<String, StateError> {
    let (root, issuing) = (pem(host, &wish.root_certificate)?, pem(host, &wish.certificate)?);
    Ok(known_authorities(&root, &issuing, &pem(host, known)?, now()))
}

/// Why it is made anew; an error where it must be, and the root's key is elsewhere.
fn renewal(host: &Host, wish: &IssuingAuthority) -> Result<Option<Reason>, StateError> {
    let (certificate, key) = (pem(host, &wish.certificate)?, pem(host, &wish.key)?);
    let root = pem(host, &wish.root_certificate)?;
    let reason = check_issuing_authority(&certificate, &key, &root, &wish.common_name, now());
    // A root that is still to come brings its key.
    let can_sign = root.trim().is_empty() || !pem(host, &wish.root_key)?.trim().is_empty();
    match reason {
        Some(Reason::Due(_)) if !can_sign => Ok(None),
        Some(reason) if !can_sign => Err(StateError::new(format!(
            "the authority `{}` must be made anew, and the key of its root is not on this host: {BY_HAND}",
            wish.certificate.display()
        ))
        .because(reason.to_string())),
        reason => Ok(reason),
    }
}
