//! Kubeconfigs with a certificate and key of their own.

use metalk8s_engine::{
    Change, ChangeKind, StateError,
    state::{Kubeconfig, Usage},
};
use metalk8s_pki::{Reason, Request, check_kubeconfig, kubeconfig};
use metalk8s_types::header;

use super::{made, now, other_readers, own, pem, private, request, write};
use crate::Host;

pub(crate) fn check(host: &Host, wish: &Kubeconfig) -> Result<Option<Change>, StateError> {
    let path = wish.path.display();
    if let Some(reason) = renewal(host, wish)? {
        let change = if pem(host, &wish.path)?.trim().is_empty() {
            Change::new(ChangeKind::Create, format!("make the kubeconfig {path}"))
        } else {
            Change::new(ChangeKind::Update, format!("renew the kubeconfig {path}: {reason}"))
        };
        return Ok(Some(change));
    }
    other_readers(host, &wish.path, &wish.readers)
}

pub(crate) async fn apply(host: &Host, wish: &Kubeconfig) -> Result<(), StateError> {
    if renewal(host, wish)?.is_none() {
        return own(host, &wish.path, &wish.readers);
    }
    let numbers = private(&wish.readers).numbers(host)?;
    let what = format!("the kubeconfig `{}`", wish.path.display());
    let issued = made(host, &wish.signer, &client(wish), &what).await?;
    let text = kubeconfig(
        &wish.server,
        &wish.cluster,
        &wish.subject.common_name,
        &pem(host, &wish.ca_certificate)?,
        &issued.certificate_pem,
        &issued.key_pem,
    );
    write(host, &wish.path, &(header() + &text), numbers)
}

fn renewal(host: &Host, wish: &Kubeconfig) -> Result<Option<Reason>, StateError> {
    let (text, ca) = (pem(host, &wish.path)?, pem(host, &wish.ca_certificate)?);
    Ok(check_kubeconfig(&text, &wish.server, &wish.cluster, &ca, &client(wish), now()))
}

fn client(wish: &Kubeconfig) -> Request {
    request(&wish.subject, &[Usage::Client], wish.lifetime_seconds)
}
