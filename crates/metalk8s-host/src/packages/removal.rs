//! Packages that are not to be there.

use std::collections::BTreeSet;

use metalk8s_engine::{Change, ChangeKind, StateError, state::Packages};
use metalk8s_types::grains::OsFamily;

use super::{Turn, apt, checked_names, dnf, family};
use crate::Host;

pub(crate) async fn check_removed(
    host: &Host,
    names: &BTreeSet<String>,
    purge: bool,
) -> Result<Option<Change>, StateError> {
    let present = present(host, names, purge).await?;
    let verb = if purge { "purge" } else { "remove" };
    Ok((!present.is_empty())
        .then(|| Change::new(ChangeKind::Remove, format!("{verb} {}", present.join(" ")))))
}

pub(crate) async fn remove(
    host: &Host,
    names: &BTreeSet<String>,
    purge: bool,
    unneeded: bool,
) -> Result<(), StateError> {
    let turn = Turn::wait(host).await?;
    let present = present(host, names, purge).await?;
    if present.is_empty() {
        return Ok(());
    }
    match family(host)? {
        OsFamily::RedHat => dnf::remove(host, &present, unneeded, &turn).await,
        OsFamily::Debian | OsFamily::Other => apt::remove(host, &present, purge, unneeded, &turn).await,
    }
}

/// Those of the names that are there.
async fn present(host: &Host, names: &BTreeSet<String>, purge: bool) -> Result<Vec<String>, StateError> {
    let wish = Packages {
        packages: names.iter().map(|name| (name.clone(), None)).collect(),
        hold: false,
        only_from: Vec::new(),
    };
    checked_names(&wish)?;
    let found: BTreeSet<String> = match family(host)? {
        OsFamily::RedHat => dnf::installed(host, &wish).await?.into_keys().collect(),
        OsFamily::Debian | OsFamily::Other => apt::present(host, purge).await?,
    };
    Ok(names.intersection(&found).cloned().collect())
}
