//! Openings in the host's firewall: firewalld where it runs, else the rules of the kernel.
//!
//! An opening is exact: a source that only an earlier wish let in is shut out. Rules of others stay.

mod firewalld;
mod nftables;
pub(crate) mod rules;

use std::{collections::BTreeSet, fmt};

use ipnet::IpNet;
use metalk8s_engine::{Change, ChangeKind, StateError, state::Opening};

use crate::{Host, doing::Doing};

/// Which firewall the host has.
enum Firewall {
    Firewalld,
    Nftables,
    None,
}

/// Whom a rule lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Everybody,
    Range(IpNet),
}

/// How the rules of an opening are not as they should be.
#[derive(Debug, Default)]
struct Difference {
    missing: BTreeSet<Source>,
    /// Let in by rules of ours, and not wished any more.
    surplus: BTreeSet<Source>,
}

pub(crate) async fn check(host: &Host, wish: &Opening) -> Result<Option<Change>, StateError> {
    checked(wish)?;
    let difference = match which(host).await? {
        Firewall::Firewalld => firewalld::difference(host, wish).await?,
        Firewall::Nftables => nftables::difference(host, wish).await?,
        Firewall::None => Difference::default(),
    };
    Ok(difference.change(wish))
}

pub(crate) async fn apply(host: &Host, wish: &Opening) -> Result<(), StateError> {
    checked(wish)?;
    match which(host).await? {
        Firewall::Firewalld => firewalld::adjust(host, wish).await,
        Firewall::Nftables => nftables::adjust(host, wish).await,
        Firewall::None => Ok(()),
    }
}

impl Difference {
    fn change(&self, wish: &Opening) -> Option<Change> {
        let Opening { name, protocol, port, sources: _ } = wish;
        let list = |sources: &BTreeSet<Source>| {
            sources.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let (missing, surplus) = (list(&self.missing), list(&self.surplus));
        let (kind, what) = match (self.missing.is_empty(), self.surplus.is_empty()) {
            (true, true) => return None,
            (false, true) => (ChangeKind::Create, format!("open port {port}/{protocol} to {missing}")),
            (true, false) => (ChangeKind::Remove, format!("close port {port}/{protocol} to {surplus}")),
            (false, false) => (
                ChangeKind::Update,
                format!("open port {port}/{protocol} to {missing} and close it to {surplus}"),
            ),
        };
        Some(Change::new(kind, format!("{what} ({name})")))
    }
}

impl Source {
    fn all_of(wish: &Opening) -> BTreeSet<Self> {
        if wish.sources.is_empty() {
            return BTreeSet::from([Self::Everybody]);
        }
        wish.sources.iter().map(|net| Self::Range(net.trunc())).collect()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everybody => formatter.write_str("everybody"),
            Self::Range(net) => write!(formatter, "{net}"),
        }
    }
}

/// By what a rule of ours is known: the opening, and whom the rule lets in.
fn mark(wish: &Opening, source: Source) -> String {
    let opening = mark_of_opening(wish);
    match source {
        Source::Everybody => format!("{opening}all"),
        Source::Range(net) => format!("{opening}{net}"),
    }
}

fn mark_of_opening(wish: &Opening) -> String {
    format!("metalk8s {} {}/{} ", wish.name, wish.port, wish.protocol)
}

/// The opening of a rule with this mark, and whom the rule lets in; `None` where it is none of ours.
fn marked(mark: &str) -> Option<(Opening, Source)> {
    let (opening, source) = mark.strip_prefix("metalk8s ")?.rsplit_once(' ')?;
    let (name, place) = opening.rsplit_once(' ')?;
    let (port, protocol) = place.split_once('/')?;
    let wish = Opening {
        name: name.to_owned(),
        protocol: protocol.to_owned(),
        port: port.parse().ok()?,
        sources: Vec::new(),
    };
    let source = match source {
        "all" => Source::Everybody,
        net => Source::Range(net.parse().ok()?),
    };
    checked(&wish).is_ok().then_some((wish, source))
}

/// Whom a rule with this mark lets in and should not; `None` where it is wished, or not of this opening.
fn surplus(wish: &Opening, mark: &str) -> Option<Source> {
    mark.strip_prefix(&mark_of_opening(wish))?;
    let (_, source) = marked(mark)?;
    (!Source::all_of(wish).contains(&source)).then_some(source)
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

    #[test]
    fn a_rule_is_ours_by_its_mark_alone() {
        let sources = vec!["10.0.0.2/32".parse().unwrap()];
        let wish = Opening { sources, ..wish("etcd peers", "tcp") };
        let range = |text: &str| Some(Source::Range(text.parse().unwrap()));
        assert_eq!(surplus(&wish, "metalk8s etcd peers 1/tcp 10.0.0.3/32"), range("10.0.0.3/32"));
        assert_eq!(surplus(&wish, "metalk8s etcd peers 1/tcp fd00::/64"), range("fd00::/64"));
        assert_eq!(surplus(&wish, "metalk8s etcd peers 1/tcp all"), Some(Source::Everybody));
        for other in [
            "metalk8s etcd peers 1/tcp 10.0.0.2/32",
            "metalk8s etcd 1/tcp 10.0.0.3/32",
            "metalk8s etcd peers 1/udp 10.0.0.3/32",
            "metalk8s etcd peers 12/tcp 10.0.0.3/32",
            "metalk8s etcd peers 1/tcp the backup",
            "etcd peers 1/tcp 10.0.0.3/32",
        ] {
            assert_eq!(surplus(&wish, other), None, "{other}");
        }
    }

    #[test]
    fn a_change_names_whom_it_lets_in_and_whom_it_shuts_out() {
        let sources =
            |texts: &[&str]| texts.iter().map(|text| Source::Range(text.parse().unwrap())).collect();
        let summary = |missing: &[&str], surplus: &[&str]| {
            let difference = Difference { missing: sources(missing), surplus: sources(surplus) };
            difference.change(&wish("api", "tcp")).map(|change| change.summary)
        };
        let expected = "open port 1/tcp to 10.0.0.2/32, fd00::2/128 and close it to 10.0.0.0/8 (api)";
        assert_eq!(summary(&["fd00::2/128", "10.0.0.2/32"], &["10.0.0.0/8"]).unwrap(), expected);
        assert_eq!(summary(&["10.0.0.2/32"], &[]).unwrap(), "open port 1/tcp to 10.0.0.2/32 (api)");
        assert_eq!(summary(&[], &["10.0.0.2/32"]).unwrap(), "close port 1/tcp to 10.0.0.2/32 (api)");
        assert_eq!(summary(&[], &[]), None);
    }

    #[tokio::test]
    async fn words_that_could_become_rules_are_refused() {
        let lab = Lab::new();
        for (name, protocol) in [("a\" accept", "tcp"), ("", "tcp"), ("a", "tcp accept"), ("a;b", "udp")] {
            assert!(check(&lab.host, &wish(name, protocol)).await.is_err(), "{name} {protocol}");
        }
    }
}
