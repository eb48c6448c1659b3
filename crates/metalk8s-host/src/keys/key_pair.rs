//! Key pairs without a certificate.

use metalk8s_engine::{Change, ChangeKind, StateError, state::KeyPair};
use metalk8s_pki::check_key_pair;

use super::{PUBLIC, other_readers, own, pem, private, write};
use crate::{Host, doing::Doing, files::owner::Numbers};

pub(crate) fn check(host: &Host, wish: &KeyPair) -> Result<Option<Change>, StateError> {
    let (key, public) = (pem(host, &wish.private)?, pem(host, &wish.public)?);
    let path = wish.private.display();
    if public.trim().is_empty() {
        return Ok(Some(Change::new(ChangeKind::Create, format!("make the key pair {path}"))));
    }
    if let Some(reason) = check_key_pair(&key, &public) {
        return Err(StateError::new(format!(
            "the key pair `{path}` cannot be used, and a new one would make everything signed by it void"
        ))
        .because(reason.to_string()));
    }
    other_readers(host, &wish.private, &wish.readers)
}

pub(crate) fn apply(host: &Host, wish: &KeyPair) -> Result<(), StateError> {
    if !pem(host, &wish.public)?.trim().is_empty() {
        check(host, wish)?;
        return own(host, &wish.private, &wish.readers);
    }
    let numbers = private(&wish.readers).numbers(host)?;
    let pair = metalk8s_pki::key_pair()
        .doing(|| format!("could not make the key pair `{}`", wish.private.display()))?;
    write(host, &wish.private, &pair.private_pem, numbers)?;
    write(host, &wish.public, &pair.public_pem, Numbers::root(PUBLIC))
}
