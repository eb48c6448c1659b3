//! Openings in the default zone of firewalld, in the running configuration and in the lasting one.
//!
//! Its rules carry no comment, so those that we add are known by a record of ours. A rule that was there before,
//! or that no record names, is taken for a person's, and stays.

use std::{collections::BTreeSet, path::Path};

use metalk8s_engine::{StateError, state::Opening};
use metalk8s_types::paths;

use super::{Difference, Traffic, Wish, marked};
use crate::{Host, doing::Doing, lines};

/// The two configurations; reloading instead would drop what others set for now only.
pub(super) const CONFIGURATIONS: [&[&str]; 2] = [&[], &["--permanent"]];

pub(super) async fn difference(host: &Host, wish: &Opening) -> Result<Difference, StateError> {
    let (all, mut missing) = (Wish::Opening(wish), BTreeSet::new());
    for configuration in CONFIGURATIONS {
        let listed = list(host, configuration).await?;
        missing.extend(all.traffic().into_iter().filter(|source| !has(&listed, wish, *source)));
    }
    let record = host.read_text(Path::new(paths::FIREWALLD_OPENINGS))?.unwrap_or_default();
    Ok(Difference { missing, surplus: record.lines().filter_map(|line| all.surplus(line)).collect() })
}

pub(super) async fn adjust(host: &Host, wish: &Opening) -> Result<(), StateError> {
    let (all, record) = (Wish::Opening(wish), Path::new(paths::FIREWALLD_OPENINGS));
    let Difference { missing, surplus: closed } = difference(host, wish).await?;
    // First, since a rule that is in no record is never removed.
    lines::edit_private(host, record, |text| {
        missing.iter().fold(text.to_owned(), |text, source| {
            let line = all.mark(*source);
            lines::with_line(&text, &line, |other| other == line)
        })
    })?;
    for configuration in CONFIGURATIONS {
        let listed = list(host, configuration).await?;
        let (mut opened, mut closed) = (all.traffic(), closed.clone());
        opened.retain(|source| !has(&listed, wish, *source));
        closed.retain(|source| has(&listed, wish, *source));
        for source in opened {
            set(host, configuration, "add", wish, source).await?;
        }
        for source in closed {
            set(host, configuration, "remove", wish, source).await?;
        }
    }
    lines::edit_private(host, record, |text| lines::without(text, |line| all.surplus(line).is_some()))?;
    Ok(())
}

/// How many rules of ours it has.
pub(super) async fn count(host: &Host) -> Result<usize, StateError> {
    let mut found = BTreeSet::new();
    for (configuration, wish, source) in recorded(host)? {
        if has(&list(host, configuration).await?, &wish, source) {
            found.insert(Wish::Opening(&wish).mark(source));
        }
    }
    Ok(found.len())
}

/// Removes all rules of ours.
pub(super) async fn close(host: &Host) -> Result<(), StateError> {
    for (configuration, wish, source) in recorded(host)? {
        if has(&list(host, configuration).await?, &wish, source) {
            set(host, configuration, "remove", &wish, source).await?;
        }
    }
    Ok(())
}

type Recorded = (&'static [&'static str], Opening, Traffic);

/// Every rule of the record, in each configuration.
fn recorded(host: &Host) -> Result<Vec<Recorded>, StateError> {
    let record = host.read_text(Path::new(paths::FIREWALLD_OPENINGS))?.unwrap_or_default();
    let rules = CONFIGURATIONS.iter().flat_map(|configuration| {
        record.lines().filter_map(marked).map(|(wish, source)| (*configuration, wish, source))
    });
    Ok(rules.collect())
}

async fn list(host: &Host, configuration: &[&str]) -> Result<String, StateError> {
    let output = host.program("firewall-cmd").args(configuration).arg("--list-all").run().await;
    Ok(output.doing(|| "could not ask firewalld for its openings".to_owned())?.stdout)
}

async fn set(
    host: &Host,
    configuration: &[&str],
    verb: &str,
    wish: &Opening,
    source: Traffic,
) -> Result<(), StateError> {
    let option = match rule(wish, source) {
        Rule::Port(port) => format!("--{verb}-port={port}"),
        Rule::Rich(rule) => format!("--{verb}-rich-rule={rule}"),
    };
    let done = host.program("firewall-cmd").args(configuration).arg(option).run().await;
    done.doing(|| format!("could not {verb} a rule for port {}/{} in firewalld", wish.port, wish.protocol))?;
    Ok(())
}

enum Rule {
    Port(String),
    Rich(String),
}

/// As firewalld itself writes it back.
fn rule(wish: &Opening, source: Traffic) -> Rule {
    let Opening { name: _, protocol, port, sources: _ } = wish;
    match source {
        Traffic::All => Rule::Port(format!("{port}/{protocol}")),
        // An opening knows no destinations.
        Traffic::From(net) | Traffic::To(net) => {
            let family = if net.addr().is_ipv4() { "ipv4" } else { "ipv6" };
            Rule::Rich(format!(
                "rule family=\"{family}\" source address=\"{net}\" port port=\"{port}\" protocol=\"{protocol}\" \
                 accept"
            ))
        }
    }
}

fn has(list: &str, wish: &Opening, source: Traffic) -> bool {
    let mut lines = list.lines().map(str::trim);
    match rule(wish, source) {
        Rule::Port(port) => {
            let ports = lines.find_map(|line| line.strip_prefix("ports:")).unwrap_or_default();
            ports.split_whitespace().any(|open| open == port)
        }
        Rule::Rich(rule) => lines.any(|line| line == rule),
    }
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::State;

    use super::*;
    use crate::testing::{Lab, mode};

    fn lab() -> Lab {
        let lab = Lab::new();
        let empty = "public (active)\n  ports: 22/tcp\n  rich rules: \n";
        for name in ["now", "lasting"] {
            lab.file(&format!("/fake/{name}"), empty);
        }
        lab.program(
            "firewall-cmd",
            r#"file=now; test "$1" != --permanent || { file=lasting; shift; }; file="$ROOT/fake/$file"
               case "$1" in
               --list-all) cat "$file" ;;
               --add-port=*) sed -i "s|ports:.*|& ${1#*=}|" "$file" ;;
               --add-rich-rule=*) printf '\t%s\n' "${1#*=}" >> "$file" ;;
               --remove-port=*) sed -i "s|^\(  ports:.*\) ${1#*=}|\1|" "$file" ;;
               --remove-rich-rule=*)
                   grep -vxF "$(printf '\t%s' "${1#*=}")" "$file" > "$file.new"
                   mv "$file.new" "$file" ;;
               esac"#,
        );
        lab
    }

    fn wish(sources: &[&str]) -> State {
        let sources = sources.iter().map(|source| source.parse().unwrap()).collect();
        State::Opening(Opening { name: "api".to_owned(), protocol: "tcp".to_owned(), port: 6443, sources })
    }

    #[tokio::test]
    async fn a_port_is_opened_now_and_for_good() {
        let lab = lab();
        lab.settles(&wish(&[])).await;
        for name in ["now", "lasting"] {
            assert!(lab.text(&format!("/fake/{name}")).contains("ports: 22/tcp 6443/tcp"), "{name}");
        }
    }

    #[tokio::test]
    async fn a_port_is_opened_for_the_named_ranges_alone() {
        let lab = lab();
        lab.settles(&wish(&["10.0.0.7/8", "fd00::/64"])).await;
        let text = lab.text("/fake/now");
        assert!(text.contains("source address=\"10.0.0.0/8\" port port=\"6443\""), "{text}");
        assert!(text.contains("family=\"ipv6\" source address=\"fd00::/64\""), "{text}");
        assert!(!text.contains("6443/tcp"), "{text}");
    }

    fn rich(source: &str) -> String {
        format!(
            "\trule family=\"ipv4\" source address=\"{source}\" port port=\"6443\" protocol=\"tcp\" accept\n"
        )
    }

    #[tokio::test]
    async fn who_is_not_wished_any_more_is_shut_out_and_rules_of_a_person_stay() {
        let lab = lab();
        let configurations = ["/fake/now", "/fake/lasting"];
        // One is the same as ours would be.
        let of_a_person = [rich("10.0.0.9/32"), rich("192.168.0.0/16")];
        for configuration in configurations {
            lab.file(configuration, &(lab.text(configuration) + &of_a_person.concat()));
        }
        lab.settles(&wish(&["10.0.0.0/8", "10.0.0.9/32"])).await;
        assert_eq!(lab.text(paths::FIREWALLD_OPENINGS), "metalk8s api 6443/tcp 10.0.0.0/8\n");
        assert_eq!(mode(&lab.path(paths::FIREWALLD_OPENINGS)), 0o600);

        let change = lab.settles(&wish(&["10.0.0.2/32"])).await;
        let expected = "open port 6443/tcp to 10.0.0.2/32 and close it to 10.0.0.0/8 (api)";
        assert_eq!(change.summary, expected);
        for configuration in configurations {
            let text = lab.text(configuration);
            assert!(of_a_person.iter().all(|rule| text.contains(rule)), "{configuration}: {text}");
            assert!(text.contains(&rich("10.0.0.2/32")), "{configuration}: {text}");
            assert!(!text.contains(&rich("10.0.0.0/8")), "{configuration}: {text}");
        }
        assert_eq!(lab.text(paths::FIREWALLD_OPENINGS), "metalk8s api 6443/tcp 10.0.0.2/32\n");
        let calls = lab.calls();
        let at = |verb: &str, source: &str| {
            calls.iter().position(|call| call.contains(verb) && call.contains(source)).unwrap()
        };
        assert!(at("--add-", "10.0.0.2/32") < at("--remove-", "10.0.0.0/8"), "{calls:?}");
    }

    #[tokio::test]
    async fn a_port_that_was_open_to_everybody_is_closed_where_we_opened_it() {
        let lab = lab();
        lab.settles(&wish(&[])).await;
        let change = lab.settles(&wish(&["10.0.0.2/32"])).await;
        let expected = "open port 6443/tcp to 10.0.0.2/32 and close it to everybody (api)";
        assert_eq!(change.summary, expected);
        assert!(lab.text("/fake/lasting").contains("ports: 22/tcp\n"));

        lab.file("/fake/now", "  ports: 22/tcp 6443/tcp\n");
        lab.file("/fake/lasting", "  ports: 22/tcp 6443/tcp\n");
        lab.settles(&wish(&["10.0.0.3/32"])).await;
        assert!(lab.text("/fake/now").contains("ports: 22/tcp 6443/tcp\n"));
    }

    #[tokio::test]
    async fn without_a_record_nothing_is_removed() {
        let lab = lab();
        lab.settles(&wish(&["10.0.0.0/8"])).await;
        std::fs::remove_file(lab.path(paths::FIREWALLD_OPENINGS)).unwrap();
        lab.settles(&wish(&["10.0.0.2/32"])).await;
        assert!(lab.text("/fake/now").contains(&rich("10.0.0.0/8")));
        // Nor another opening's of the same port.
        lab.file(paths::FIREWALLD_OPENINGS, "metalk8s other 6443/tcp 10.0.0.0/8\n");
        assert_eq!(lab.check(&wish(&["10.0.0.2/32"])).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_machine_that_is_reset_keeps_only_rules_of_others() {
        let lab = lab();
        let theirs =
            "rule family=\"ipv4\" source address=\"192.0.2.0/24\" port port=\"6443\" protocol=\"tcp\" accept";
        for name in ["now", "lasting"] {
            lab.file(
                &format!("/fake/{name}"),
                &format!("public\n  ports: 22/tcp\n  rich rules: \n\t{theirs}\n"),
            );
        }
        lab.settles(&wish(&["10.0.0.0/8"])).await;
        let removed = |comments: &[&str]| {
            State::Removed(metalk8s_engine::state::Removed::PacketRules {
                tables: BTreeSet::new(),
                chains: BTreeSet::new(),
                comments: comments.iter().map(|comment| (*comment).to_owned()).collect(),
            })
        };
        assert_eq!(lab.check(&removed(&["cali:"])).await.unwrap(), None);
        lab.settles(&removed(&["cali:", "metalk8s "])).await;
        for name in ["now", "lasting"] {
            let text = lab.text(&format!("/fake/{name}"));
            assert!(text.contains("192.0.2.0/24") && !text.contains("10.0.0.0/8"), "{text}");
        }
    }
}
