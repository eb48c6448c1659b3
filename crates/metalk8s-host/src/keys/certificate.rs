//! Certificates with keys of this host.

use metalk8s_engine::{Change, ChangeKind, StateError, state::Certificate};
use metalk8s_pki::{Reason, Request, check_certificate};

use super::{PUBLIC, made, now, other_readers, own, pem, private, request, write};
use crate::{Host, files::owner::Numbers};

pub(crate) fn check(host: &Host, wish: &Certificate) -> Result<Option<Change>, StateError> {
    let path = wish.certificate.display();
    if let Some(reason) = renewal(host, wish)? {
        let change = if pem(host, &wish.certificate)?.trim().is_empty() {
            Change::new(ChangeKind::Create, format!("make the certificate {path}"))
        } else {
            Change::new(ChangeKind::Update, format!("renew the certificate {path}: {reason}"))
        };
        return Ok(Some(change));
    }
    other_readers(host, &wish.key, &wish.readers)
}

pub(crate) async fn apply(host: &Host, wish: &Certificate) -> Result<(), StateError> {
    if renewal(host, wish)?.is_none() {
        return own(host, &wish.key, &wish.readers);
    }
    let numbers = private(&wish.readers).numbers(host)?;
    let what = format!("the certificate `{}`", wish.certificate.display());
    let issued = made(host, &wish.signer, &full_request(wish), &what).await?;
    // Killed in between, the two do not fit, which the next check sees.
    write(host, &wish.key, &issued.key_pem, numbers)?;
    write(host, &wish.certificate, &issued.certificate_pem, Numbers::root(PUBLIC))
}

fn renewal(host: &Host, wish: &Certificate) -> Result<Option<Reason>, StateError> {
    let (certificate, key) = (pem(host, &wish.certificate)?, pem(host, &wish.key)?);
    let ca = pem(host, &wish.ca_certificate)?;
    Ok(check_certificate(&certificate, &key, &ca, &full_request(wish), now()))
}

fn full_request(wish: &Certificate) -> Request {
    Request {
        dns_names: wish.dns_names.clone(),
        addresses: wish.addresses.clone(),
        ..request(&wish.subject, &wish.usages, wish.lifetime_seconds)
    }
}
