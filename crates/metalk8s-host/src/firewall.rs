//! What passes the host's firewall, be it for the host or forwarded by it: firewalld where it runs, else the rules of
//! the kernel.
//!
//! A wish is exact: what only an earlier one let pass is shut out. Rules of others stay.

mod firewalld;
mod nftables;
mod policy;
pub(crate) mod rules;

use std::{collections::BTreeSet, fmt};

use ipnet::IpNet;
use metalk8s_engine::{
    Change, ChangeKind, StateError,
    state::{Forwarding, Opening},
};

use crate::{Host, doing::Doing};

/// Which firewall the host has.
enum Firewall {
    Firewalld,
    Nftables,
    None,
}

/// What the firewall shall let pass.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wish<'a> {
    Opening(&'a Opening),
    Forwarding(&'a Forwarding),
}

/// Which packets a rule lets pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Traffic {
    All,
    From(IpNet),
    To(IpNet),
}

/// How the rules of a wish are not as they should be.
#[derive(Debug, Default)]
struct Difference {
    missing: BTreeSet<Traffic>,
    /// Let pass by rules of ours, and not wished any more.
    surplus: BTreeSet<Traffic>,
}

pub(crate) async fn check(host: &Host, wish: Wish<'_>) -> Result<Option<Change>, StateError> {
    checked(wish)?;
    let difference = match (which(host).await?, wish) {
        (Firewall::Firewalld, Wish::Opening(wish)) => firewalld::difference(host, wish).await?,
        (Firewall::Firewalld, Wish::Forwarding(wish)) => policy::difference(host, wish).await?,
        (Firewall::Nftables, wish) => nftables::difference(host, wish).await?,
        (Firewall::None, _) => Difference::default(),
    };
    Ok(difference.change(wish))
}

pub(crate) async fn apply(host: &Host, wish: Wish<'_>) -> Result<(), StateError> {
    checked(wish)?;
    match (which(host).await?, wish) {
        (Firewall::Firewalld, Wish::Opening(wish)) => firewalld::adjust(host, wish).await,
        (Firewall::Firewalld, Wish::Forwarding(wish)) => policy::adjust(host, wish).await,
        (Firewall::Nftables, wish) => nftables::adjust(host, wish).await,
        (Firewall::None, _) => Ok(()),
    }
}

impl Difference {
    fn change(&self, wish: Wish<'_>) -> Option<Change> {
        let list = |traffic: &BTreeSet<Traffic>| {
            traffic.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let (missing, surplus) = (list(&self.missing), list(&self.surplus));
        let kind = match (self.missing.is_empty(), self.surplus.is_empty()) {
            (true, true) => return None,
            (false, true) => ChangeKind::Create,
            (true, false) => ChangeKind::Remove,
            (false, false) => ChangeKind::Update,
        };
        let (name, open, close) = match wish {
            Wish::Opening(Opening { name, protocol, port, sources: _ }) => {
                let port = format!("port {port}/{protocol}");
                let closed = if kind == ChangeKind::Update { "it".to_owned() } else { port.clone() };
                (name, format!("open {port} to {missing}"), format!("close {closed} to {surplus}"))
            }
            Wish::Forwarding(Forwarding { name, networks: _ }) => {
                (name, format!("forward packets of {missing}"), format!("forward no packets of {surplus}"))
            }
        };
        let what = match kind {
            ChangeKind::Create => open,
            ChangeKind::Remove => close,
            _ => format!("{open} and {close}"),
        };
        Some(Change::new(kind, format!("{what} ({name})")))
    }
}

impl Wish<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Opening(wish) => &wish.name,
            Self::Forwarding(wish) => &wish.name,
        }
    }

    /// What it lets pass, for an error.
    fn what(&self) -> String {
        match self {
            Self::Opening(wish) => format!("port {}/{}", wish.port, wish.protocol),
            Self::Forwarding(wish) => format!("forwarded packets of {}", wish.name),
        }
    }

    fn traffic(&self) -> BTreeSet<Traffic> {
        match self {
            Self::Opening(wish) if wish.sources.is_empty() => BTreeSet::from([Traffic::All]),
            Self::Opening(wish) => wish.sources.iter().map(|net| Traffic::From(net.trunc())).collect(),
            Self::Forwarding(wish) => {
                let networks = || wish.networks.iter().map(IpNet::trunc);
                networks().map(Traffic::From).chain(networks().map(Traffic::To)).collect()
            }
        }
    }

    /// What marks of its rules begin with.
    fn mark_of_all(&self) -> String {
        match self {
            Self::Opening(wish) => format!("metalk8s {} {}/{} ", wish.name, wish.port, wish.protocol),
            Self::Forwarding(wish) => format!("metalk8s {} forwarded ", wish.name),
        }
    }

    /// By what a rule of ours is known: the wish, and which packets the rule lets pass.
    fn mark(&self, traffic: Traffic) -> String {
        let wish = self.mark_of_all();
        match traffic {
            Traffic::All => format!("{wish}all"),
            Traffic::From(_) | Traffic::To(_) => format!("{wish}{traffic}"),
        }
    }

    /// What a rule with this mark lets pass and should not; `None` where it is wished, or not of this wish.
    fn surplus(&self, mark: &str) -> Option<Traffic> {
        let traffic = match mark.strip_prefix(&self.mark_of_all())? {
            "all" => Traffic::All,
            text => match text.strip_prefix("to ") {
                Some(net) => Traffic::To(net.parse().ok()?),
                None => Traffic::From(text.parse().ok()?),
            },
        };
        (!self.traffic().contains(&traffic)).then_some(traffic)
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => formatter.write_str("everybody"),
            Self::From(net) => write!(formatter, "{net}"),
            Self::To(net) => write!(formatter, "to {net}"),
        }
    }
}

/// The opening of a rule with this mark, and whom the rule lets in; `None` where it is none of ours.
fn marked(mark: &str) -> Option<(Opening, Traffic)> {
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
        "all" => Traffic::All,
        net => Traffic::From(net.parse().ok()?),
    };
    checked(Wish::Opening(&wish)).is_ok().then_some((wish, source))
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
fn checked(wish: Wish<'_>) -> Result<(), StateError> {
    if let Wish::Opening(Opening { protocol, .. }) = wish
        && !matches!(&**protocol, "tcp" | "udp")
    {
        return Err(StateError::new(format!("`{protocol}` is no protocol of an opening")));
    }
    let name = wish.name();
    let letter = |letter: char| letter.is_ascii_alphanumeric() || "-_. ".contains(letter);
    let (letters, most) = match wish {
        Wish::Opening(_) => (name.chars().all(letter), 64),
        Wish::Forwarding(_) => (policy::can_be_named(name), policy::LONGEST_NAME),
    };
    if name.is_empty() || name.len() > most || !letters {
        return Err(StateError::new(format!("`{name}` cannot be the name of an opening")));
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
        assert_eq!(check(&lab.host, Wish::Opening(&wish("api", "tcp"))).await.unwrap(), None);
        lab.program("firewall-cmd", "exit 252");
        assert_eq!(check(&lab.host, Wish::Opening(&wish("api", "tcp"))).await.unwrap(), None);
    }

    #[test]
    fn a_rule_is_ours_by_its_mark_alone() {
        let sources = vec!["10.0.0.2/32".parse().unwrap()];
        let opening = Opening { sources, ..wish("etcd peers", "tcp") };
        let wish = Wish::Opening(&opening);
        let range = |text: &str| Some(Traffic::From(text.parse().unwrap()));
        assert_eq!(wish.surplus("metalk8s etcd peers 1/tcp 10.0.0.3/32"), range("10.0.0.3/32"));
        assert_eq!(wish.surplus("metalk8s etcd peers 1/tcp fd00::/64"), range("fd00::/64"));
        assert_eq!(wish.surplus("metalk8s etcd peers 1/tcp all"), Some(Traffic::All));
        for other in [
            "metalk8s etcd peers 1/tcp 10.0.0.2/32",
            "metalk8s etcd 1/tcp 10.0.0.3/32",
            "metalk8s etcd peers 1/udp 10.0.0.3/32",
            "metalk8s etcd peers 12/tcp 10.0.0.3/32",
            "metalk8s etcd peers 1/tcp the backup",
            "etcd peers 1/tcp 10.0.0.3/32",
        ] {
            assert_eq!(wish.surplus(other), None, "{other}");
        }
    }

    #[test]
    fn a_rule_of_forwarded_packets_is_ours_by_its_mark_alone() {
        let forwarding = Forwarding { name: "pods".into(), networks: vec!["10.1.0.0/16".parse().unwrap()] };
        let wish = Wish::Forwarding(&forwarding);
        let range = "10.2.0.0/16".parse().unwrap();
        assert_eq!(wish.surplus("metalk8s pods forwarded 10.2.0.0/16"), Some(Traffic::From(range)));
        assert_eq!(wish.surplus("metalk8s pods forwarded to 10.2.0.0/16"), Some(Traffic::To(range)));
        for other in [
            "metalk8s pods forwarded 10.1.0.0/16",
            "metalk8s pods forwarded to 10.1.0.0/16",
            "metalk8s pods forwarded to all",
            "metalk8s others forwarded 10.2.0.0/16",
            "metalk8s pods 1/tcp 10.2.0.0/16",
        ] {
            assert_eq!(wish.surplus(other), None, "{other}");
        }
        assert_eq!(marked("metalk8s pods forwarded 10.2.0.0/16").map(|(opening, _)| opening.name), None);
    }

    #[test]
    fn a_change_names_whom_it_lets_in_and_whom_it_shuts_out() {
        let sources =
            |texts: &[&str]| texts.iter().map(|text| Traffic::From(text.parse().unwrap())).collect();
        let summary = |missing: &[&str], surplus: &[&str]| {
            let difference = Difference { missing: sources(missing), surplus: sources(surplus) };
            difference.change(Wish::Opening(&wish("api", "tcp"))).map(|change| change.summary)
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
            assert!(
                check(&lab.host, Wish::Opening(&wish(name, protocol))).await.is_err(),
                "{name} {protocol}"
            );
        }
        for name in ["", "a b", "a\"", "Pods", "nine-long"] {
            let wish = Forwarding { name: name.to_owned(), networks: Vec::new() };
            assert!(check(&lab.host, Wish::Forwarding(&wish)).await.is_err(), "{name}");
        }
    }
}
