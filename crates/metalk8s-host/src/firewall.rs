//! Openings in the host's firewall: firewalld where it runs, else the rules of the kernel.

mod firewalld;
mod nftables;
pub(crate) mod rules;

use metalk8s_engine::{Change, ChangeKind, StateError, state::Opening};

use crate::{Host, doing::Doing};

/// Which firewall the host has.
enum Firewall {
    Firewalld,
    Nftables,
    None,
}

pub(crate) async fn check(host: &Host, wish: &Opening) -> Result<Option<Change>, StateError> {
    checked(wish)?;
    let open = match which(host).await? {
        Firewall::Firewalld => firewalld::is_open(host, wish).await?,
        Firewall::Nftables => nftables::is_open(host, wish).await?,
        Firewall::None => true,
    };
    let from = match &wish.sources[..] {
        [] => "everybody".to_owned(),
        sources => sources.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    Ok((!open).then(|| {
        let summary = format!("open port {}/{} to {from} ({})", wish.port, wish.protocol, wish.name);
        Change::new(ChangeKind::Create, summary)
    }))
}

pub(crate) async fn apply(host: &Host, wish: &Opening) -> Result<(), StateError> {
    checked(wish)?;
    match which(host).await? {
        Firewall::Firewalld => firewalld::open(host, wish).await,
        Firewall::Nftables => nftables::open(host, wish).await,
        Firewall::None => Ok(()),
    }
}

async fn which(host: &Host) -> Result<Firewall, StateError> {
    if host.has_program("firewall-cmd")
        && host
            .program("firewall-cmd")
            .arg("--state")
            .succeeds()
            .await
            .doing(|| "could not ask for the state of firewalld".to_owned())?
    {
        return Ok(Firewall::Firewalld);
    }
    Ok(if host.has_program("nft") { Firewall::Nftables } else { Firewall::None })
}

/// Its words become part of rules.
fn checked(wish: &Opening) -> Result<(), StateError> {
    if !matches!(&*wish.protocol, "tcp" | "udp") {
        return Err(StateError::new(format!("`{}` is no protocol of an opening", wish.protocol)));
    }
    let letter = |letter: char| letter.is_ascii_alphanumeric() || "-_. ".contains(letter);
    if wish.name.is_empty() || wish.name.len() > 64 || !wish.name.chars().all(letter) {
        return Err(StateError::new(format!("`{}` cannot be the name of an opening", wish.name)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Lab;

    fn wish(name: &str, protocol: &str) -> Opening {
        Opening { name: name.to_owned(), protocol: protocol.to_owned(), port: 1, sources: Vec::new() }
    }

    #[tokio::test]
    async fn a_host_without_a_firewall_is_open() {
        let lab = Lab::new();
        assert_eq!(check(&lab.host, &wish("api", "tcp")).await.unwrap(), None);
        lab.program("firewall-cmd", "exit 252");
        assert_eq!(check(&lab.host, &wish("api", "tcp")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn words_that_could_become_rules_are_refused() {
        let lab = Lab::new();
        for (name, protocol) in [("a\" accept", "tcp"), ("", "tcp"), ("a", "tcp accept"), ("a;b", "udp")] {
            assert!(check(&lab.host, &wish(name, protocol)).await.is_err(), "{name} {protocol}");
        }
    }
}
