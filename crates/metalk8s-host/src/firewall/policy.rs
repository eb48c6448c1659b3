//! Forwarded packets in firewalld: a policy of our own from every zone to every zone (firewalld.policies(5)).
//!
//! Zones know forwarded packets by their interfaces, and those of pods are in none: without a policy the packets of
//! a pod of another node are rejected. A zone of the networks of pods would let pods reach all of the host, too.

use std::{collections::BTreeSet, io::ErrorKind, path::Path};

use metalk8s_engine::{StateError, state::Forwarding};

use super::{Difference, Traffic, Wish, firewalld::CONFIGURATIONS};
use crate::{Host, doing::Doing, program::ProgramError};

/// Where firewalld has lasting policies, and for each that it removed or changed what it was before.
const FOLDER: &str = "/etc/firewalld/policies";
/// What names of our policies begin with.
const PREFIX: &str = "metalk8s-";
/// Names of policies have at most 17 letters, since they become parts of names of chains (firewalld.policy(5)).
pub(super) const LONGEST_NAME: usize = 8;

/// Whether a policy can have this name.
pub(super) fn can_be_named(name: &str) -> bool {
    name.bytes().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-')
}

pub(super) async fn difference(host: &Host, wish: &Forwarding) -> Result<Difference, StateError> {
    let name = name(wish);
    let (mut missing, mut surplus) = (BTreeSet::new(), BTreeSet::new());
    for configuration in CONFIGURATIONS {
        let rules = match policies(host, configuration).await?.contains(&name) {
            true => rules(host, configuration, &name).await?,
            false => BTreeSet::new(),
        };
        let wished = Wish::Forwarding(wish).traffic();
        missing.extend(wished.iter().copied().filter(|traffic| !rules.contains(&rule(*traffic))));
        surplus
            .extend(rules.iter().filter_map(|rule| read(rule)).filter(|traffic| !wished.contains(traffic)));
    }
    Ok(Difference { missing, surplus })
}

/// In the lasting configuration, which is then loaded: a policy cannot be made in the running one.
pub(super) async fn adjust(host: &Host, wish: &Forwarding) -> Result<(), StateError> {
    let name = name(wish);
    let policy = format!("--policy={name}");
    if !policies(host, LASTING).await?.contains(&name) {
        set(host, &[&format!("--new-policy={name}")]).await?;
    }
    // Before its rules, and also where an earlier run ended right after it had made the policy.
    set(host, &[&policy, "--add-ingress-zone=ANY"]).await?;
    set(host, &[&policy, "--add-egress-zone=ANY"]).await?;
    let wished: BTreeSet<String> = Wish::Forwarding(wish).traffic().into_iter().map(rule).collect();
    let there = rules(host, LASTING, &name).await?;
    for rule in wished.difference(&there) {
        set(host, &[&policy, &format!("--add-rich-rule={rule}")]).await?;
    }
    for rule in there.difference(&wished) {
        set(host, &[&policy, &format!("--remove-rich-rule={rule}")]).await?;
    }
    reload(host).await
}

/// How many policies of ours it has.
pub(super) async fn count(host: &Host) -> Result<usize, StateError> {
    Ok(ours(host).await?.len())
}

/// Removes all policies of ours.
pub(super) async fn remove(host: &Host) -> Result<(), StateError> {
    let ours = ours(host).await?;
    for name in &ours {
        set(host, &[&format!("--delete-policy={name}")]).await?;
        let before = Path::new(FOLDER).join(format!("{name}.xml.old"));
        match std::fs::remove_file(host.real(&before)?) {
            Err(err) if err.kind() == ErrorKind::NotFound => {}
            done => done.doing(|| format!("could not remove `{}`", before.display()))?,
        }
    }
    if ours.is_empty() { Ok(()) } else { reload(host).await }
}

async fn ours(host: &Host) -> Result<BTreeSet<String>, StateError> {
    let mut all = policies(host, LASTING).await?;
    all.retain(|name| name.starts_with(PREFIX));
    Ok(all)
}

const LASTING: &[&str] = CONFIGURATIONS[1];

fn name(wish: &Forwarding) -> String {
    format!("{PREFIX}{}", wish.name)
}

/// The names of all policies.
async fn policies(host: &Host, configuration: &[&str]) -> Result<BTreeSet<String>, StateError> {
    match host.program("firewall-cmd").args(configuration).arg("--get-policies").run().await {
        Ok(output) => Ok(output.stdout.split_whitespace().map(str::to_owned).collect()),
        Err(ProgramError::Failed { stderr, .. }) if stderr.contains("unrecognized arguments") => {
            Err(StateError::new(
                "this firewalld has no policies, so it would reject packets between pods: version 0.9 or later is needed"
                    .to_owned(),
            ))
        }
        Err(err) => Err(err).doing(|| "could not ask firewalld for its policies".to_owned()),
    }
}

async fn rules(host: &Host, configuration: &[&str], name: &str) -> Result<BTreeSet<String>, StateError> {
    let policy = format!("--policy={name}");
    let program = host.program("firewall-cmd").args(configuration).args([&policy, "--list-rich-rules"]);
    let output = program.run().await.doing(|| format!("could not ask firewalld for its policy `{name}`"))?;
    Ok(output.stdout.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

async fn set(host: &Host, options: &[&str]) -> Result<(), StateError> {
    let program = host.program("firewall-cmd").args(LASTING).args(options);
    program.run().await.doing(|| format!("could not tell firewalld `{}`", options.join(" ")))?;
    Ok(())
}

async fn reload(host: &Host) -> Result<(), StateError> {
    let done = host.program("firewall-cmd").arg("--reload").run().await;
    done.doing(|| "could not have firewalld load its configuration".to_owned())?;
    Ok(())
}

/// As firewalld itself writes it back.
fn rule(traffic: Traffic) -> String {
    let (side, net) = match traffic {
        Traffic::All => return "rule accept".to_owned(),
        Traffic::From(net) => ("source", net),
        Traffic::To(net) => ("destination", net),
    };
    let family = if net.addr().is_ipv4() { "ipv4" } else { "ipv6" };
    format!("rule family=\"{family}\" {side} address=\"{net}\" accept")
}

fn read(rule: &str) -> Option<Traffic> {
    let address = |side: &str| {
        let (_, rest) = rule.split_once(&format!(" {side} address=\""))?;
        rest.split_once('"')?.0.parse().ok()
    };
    address("source").map(Traffic::From).or_else(|| address("destination").map(Traffic::To))
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::{State, state::Removed};

    use super::*;
    use crate::testing::Lab;

    /// firewalld whose running configuration is what was lasting when it was last loaded.
    fn lab() -> Lab {
        let lab = Lab::new();
        for name in ["lasting/policies/allow-host-ipv6", "now/policies/allow-host-ipv6"] {
            lab.file(&format!("/fake/{name}"), "");
        }
        lab.program(
            "firewall-cmd",
            r#"at=now; test "$1" != --permanent || { at=lasting; shift; }; all="$ROOT/fake/$at/policies"
               case "$1" in
               --state) exit 0 ;;
               --list-all) ;;
               --reload) rm -r "$ROOT/fake/now"; cp -r "$ROOT/fake/lasting" "$ROOT/fake/now" ;;
               --get-policies) ls "$all" | tr '\n' ' ' ;;
               --new-policy=*) test "$at" = lasting && test ! -e "$all/${1#*=}" && touch "$all/${1#*=}" ;;
               --delete-policy=*) 
                   test "$at" = lasting && mv "$all/${1#*=}" "$ROOT/etc/firewalld/policies/${1#*=}.xml.old" ;;
               --policy=*)
                   file="$all/${1#*=}"; test -e "$file" || exit 112
                   case "$2" in
                   --add-ingress-zone=ANY | --add-egress-zone=ANY) ;;
                   --list-rich-rules) cat "$file" ;;
                   --add-rich-rule=*) echo "${2#*=}" >> "$file" ;;
                   --remove-rich-rule=*) grep -vxF "${2#*=}" "$file" > "$file.new"; mv "$file.new" "$file" ;;
                   *) exit 2 ;;
                   esac ;;
               *) exit 2 ;;
               esac"#,
        );
        lab
    }

    fn wish(networks: &[&str]) -> State {
        let networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        State::Forwarding(Forwarding { name: "pods".to_owned(), networks })
    }

    #[tokio::test]
    async fn packets_from_and_to_a_network_are_forwarded_now_and_for_good() {
        let lab = lab();
        let change = lab.settles(&wish(&["10.1.0.0/16"])).await;
        assert_eq!(change.summary, "forward packets of 10.1.0.0/16, to 10.1.0.0/16 (pods)");
        for at in ["now", "lasting"] {
            let text = lab.text(&format!("/fake/{at}/policies/metalk8s-pods"));
            let expected = "rule family=\"ipv4\" destination address=\"10.1.0.0/16\" accept\n\
                            rule family=\"ipv4\" source address=\"10.1.0.0/16\" accept\n";
            assert_eq!(text, expected, "{at}");
        }
    }

    #[tokio::test]
    async fn a_network_that_is_not_wished_any_more_is_shut_out() {
        let lab = lab();
        lab.settles(&wish(&["10.1.0.0/16", "10.2.0.0/16"])).await;
        let change = lab.settles(&wish(&["10.2.0.0/16"])).await;
        assert_eq!(change.summary, "forward no packets of 10.1.0.0/16, to 10.1.0.0/16 (pods)");
        assert!(!lab.text("/fake/now/policies/metalk8s-pods").contains("10.1.0.0/16"));
    }

    #[tokio::test]
    async fn a_policy_that_was_not_loaded_yet_is() {
        let lab = lab();
        lab.settles(&wish(&["10.1.0.0/16"])).await;
        std::fs::remove_file(lab.path("/fake/now/policies/metalk8s-pods")).unwrap();
        lab.settles(&wish(&["10.1.0.0/16"])).await;
        assert!(lab.text("/fake/now/policies/metalk8s-pods").contains("10.1.0.0/16"));
    }

    #[tokio::test]
    async fn a_policy_that_was_made_and_nothing_more_gets_its_zones() {
        let lab = lab();
        for at in ["now", "lasting"] {
            lab.file(&format!("/fake/{at}/policies/metalk8s-pods"), "");
        }
        lab.settles(&wish(&["10.1.0.0/16"])).await;
        let calls = lab.calls();
        for zone in ["--add-ingress-zone=ANY", "--add-egress-zone=ANY"] {
            assert!(calls.iter().any(|call| call.contains(zone)), "{calls:?}");
        }
    }

    #[tokio::test]
    async fn a_firewalld_without_policies_is_refused() {
        let lab = lab();
        lab.program(
            "firewall-cmd",
            r#"test "$1" = --state || { echo "firewall-cmd: error: unrecognized arguments: $1" >&2; exit 2; }"#,
        );
        let error = lab.check(&wish(&["10.1.0.0/16"])).await.unwrap_err();
        assert!(error.to_string().contains("0.9 or later"), "{error}");
    }

    #[tokio::test]
    async fn a_machine_that_is_reset_keeps_only_policies_of_others() {
        let lab = lab();
        lab.program("nft", r#"echo '{"nftables": []}'"#);
        lab.settles(&wish(&["10.1.0.0/16"])).await;
        lab.file("/etc/firewalld/policies/theirs.xml.old", "");
        lab.settles(&State::Removed(Removed::PacketRules {
            tables: BTreeSet::new(),
            chains: BTreeSet::new(),
            comments: BTreeSet::from(["metalk8s ".to_owned()]),
        }))
        .await;
        for at in ["now", "lasting"] {
            assert!(lab.path(&format!("/fake/{at}/policies/allow-host-ipv6")).exists(), "{at}");
            assert!(!lab.path(&format!("/fake/{at}/policies/metalk8s-pods")).exists(), "{at}");
        }
        let left = std::fs::read_dir(lab.path("/etc/firewalld/policies")).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["theirs.xml.old"]);
    }
}
