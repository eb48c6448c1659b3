//! Openings in chains of the kernel that refuse what they do not know.
//!
//! An accepted packet still passes the other chains of the same hook, so a table of our own could not open
//! anything: the rule goes to the head of the very chain that refuses.

use std::path::{Path, PathBuf};

use ipnet::IpNet;
use metalk8s_engine::{StateError, state::Opening};
use serde::Deserialize;
use serde_json::Value;

use super::{Difference, Traffic, Wish};
use crate::{Host, doing::Doing, lines, program::ProgramError};

/// Our rules for the next boot, read by the host's own file.
const OURS: &str = "/etc/nftables.d/metalk8s.nft";
/// The host's own file: of Debian, and of the Red Hat family.
const MAIN: [&str; 2] = ["/etc/nftables.conf", "/etc/sysconfig/nftables.conf"];

#[derive(Debug, Deserialize)]
struct Ruleset {
    nftables: Vec<Item>,
}

#[derive(Debug, Deserialize)]
struct Item {
    chain: Option<Chain>,
    rule: Option<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Chain {
    family: String,
    table: String,
    name: String,
    hook: Option<String>,
    policy: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Rule {
    family: String,
    table: String,
    chain: String,
    handle: u64,
    comment: Option<String>,
    #[serde(default)]
    expr: Vec<Value>,
}

/// A rule that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Needed {
    chain: Chain,
    traffic: Traffic,
    comment: String,
    /// The command that inserts it.
    command: String,
}

pub(super) async fn difference(host: &Host, wish: Wish<'_>) -> Result<Difference, StateError> {
    let ruleset = list(host, wish).await?;
    let main = main_file(host)?;
    let kept = host.read_text(Path::new(OURS))?.unwrap_or_default();
    let is_open = |needed: &Needed| {
        has(&ruleset, needed)
            && main.as_ref().is_none_or(|main| !main.has_table(needed) || main.keeps(&kept, needed))
    };
    let missing = needed(&ruleset, wish).into_iter().filter(|needed| !is_open(needed));
    let rules = ruleset.nftables.iter().filter_map(|item| item.rule.as_ref());
    let now = rules.filter_map(|rule| surplus(rule, wish));
    let at_boot = kept.lines().filter_map(|line| surplus_at_boot(line, wish));
    Ok(Difference {
        missing: missing.map(|needed| needed.traffic).collect(),
        surplus: now.chain(at_boot).collect(),
    })
}

pub(super) async fn adjust(host: &Host, wish: Wish<'_>) -> Result<(), StateError> {
    let doing = || format!("could not let {} pass the kernel's firewall", wish.what());
    let ruleset = list(host, wish).await?;
    let main = main_file(host)?;
    for needed in needed(&ruleset, wish) {
        if !has(&ruleset, &needed) {
            host.program("nft").arg(&needed.command).run().await.doing(doing)?;
        }
        match &main {
            Some(main) if main.has_table(&needed) => {
                lines::edit(host, Path::new(OURS), |text| {
                    lines::with_line(text, &needed.command, |line| line == needed.command)
                })?;
                lines::edit(host, &main.path, |text| lines::with_line(text, &include(), is_include))?;
            }
            _ => tracing::warn!(
                opening = wish.name(), table = %needed.chain.table,
                "the table is not in the host's nftables file, so the opening lasts until the firewall is loaded again"
            ),
        }
    }
    close(host, wish).await
}

/// Only after the new rules are there, so that nobody is shut out in between.
async fn close(host: &Host, wish: Wish<'_>) -> Result<(), StateError> {
    // As late as can be: where somebody loads the firewall anew, handles are those of other rules.
    for rule in list(host, wish).await?.nftables.into_iter().filter_map(|item| item.rule) {
        if surplus(&rule, wish).is_some() {
            let Rule { family, table, chain, handle, comment: _, expr: _ } = rule;
            let command = format!("delete rule {family} {table} {chain} handle {handle}");
            let doing = || format!("could not keep {} from passing the kernel's firewall", wish.what());
            host.program("nft").arg(&command).run().await.doing(doing)?;
        }
    }
    lines::edit(host, Path::new(OURS), |text| {
        lines::without(text, |line| surplus_at_boot(line, wish).is_some())
    })?;
    Ok(())
}

/// What a rule of ours lets pass and should not, also in a chain that refuses nobody: it may do so again.
fn surplus(rule: &Rule, wish: Wish<'_>) -> Option<Traffic> {
    wish.surplus(rule.comment.as_deref()?)
}

/// The same of a line of [`OURS`].
fn surplus_at_boot(line: &str, wish: Wish<'_>) -> Option<Traffic> {
    let (_, comment) = line.strip_prefix("insert rule ")?.rsplit_once(" comment \"")?;
    wish.surplus(comment.strip_suffix('"')?)
}

/// The file that the host loads at boot.
struct Main {
    path: PathBuf,
    text: String,
}

impl Main {
    /// A rule for a table that this file does not make would keep the whole file from being loaded.
    fn has_table(&self, needed: &Needed) -> bool {
        self.text.lines().any(|line| {
            let words = lines::words(line);
            let Some(rest) = words.strip_prefix(&["table"]) else { return false };
            let name = match rest {
                [family, name, ..] if *family == needed.chain.family => name,
                [name, ..] if needed.chain.family == "ip" => name,
                _ => return false,
            };
            name.trim_end_matches('{') == needed.chain.table
        })
    }

    fn keeps(&self, ours: &str, needed: &Needed) -> bool {
        self.text.lines().any(is_include) && ours.lines().any(|line| line == needed.command)
    }
}

fn main_file(host: &Host) -> Result<Option<Main>, StateError> {
    for path in MAIN.map(PathBuf::from) {
        if let Some(text) = host.read_text(&path)? {
            return Ok(Some(Main { path, text }));
        }
    }
    Ok(None)
}

fn include() -> String {
    // With a pattern, a missing file is no error.
    format!("include \"{}*\"", OURS)
}

fn is_include(line: &str) -> bool {
    line.trim() == include()
}

/// The chains of the kernel, and the rules of those that see such packets. The others are not asked for: kube-proxy
/// alone may have made thousands of them.
async fn list(host: &Host, wish: Wish<'_>) -> Result<Ruleset, StateError> {
    let mut all = Ruleset { nftables: Vec::new() };
    for chain in ask(host, &["chains"]).await?.nftables.into_iter().filter_map(|item| item.chain) {
        if chain.hook.as_deref() == Some(hook(wish)) {
            let rules = ask(host, &["chain", &chain.family, &chain.table, &chain.name]).await?;
            all.nftables.extend(rules.nftables.into_iter().filter(|item| item.rule.is_some()));
            all.nftables.push(Item { chain: Some(chain), rule: None });
        }
    }
    Ok(all)
}

async fn ask(host: &Host, what: &[&str]) -> Result<Ruleset, StateError> {
    let doing = || "could not ask the kernel for its firewall".to_owned();
    match host.program("nft").args(["--json", "list"]).args(what).run().await {
        Ok(output) => serde_json::from_str(&output.stdout).doing(doing),
        // A kernel without nftables has no rules of theirs.
        Err(ProgramError::Failed { stderr, .. }) if stderr.contains("not supported") => {
            Ok(Ruleset { nftables: Vec::new() })
        }
        Err(err) => Err(err).doing(doing),
    }
}

/// Where the packets are seen (nft(8)): those that are for this host, or those that it passes on.
fn hook(wish: Wish<'_>) -> &'static str {
    match wish {
        Wish::Opening(_) => "input",
        Wish::Forwarding(_) => "forward",
    }
}

fn needed(ruleset: &Ruleset, wish: Wish<'_>) -> Vec<Needed> {
    let mut all = Vec::new();
    for chain in ruleset.nftables.iter().filter_map(|item| item.chain.as_ref()) {
        if !refuses(ruleset, chain, hook(wish)) {
            continue;
        }
        for traffic in wish.traffic() {
            let of_family = match (traffic, &*chain.family) {
                (_, "inet") | (Traffic::All, "ip" | "ip6") => true,
                (Traffic::From(net) | Traffic::To(net), "ip") => net.addr().is_ipv4(),
                (Traffic::From(net) | Traffic::To(net), "ip6") => net.addr().is_ipv6(),
                _ => false,
            };
            if of_family {
                all.push(rule(chain, wish, traffic));
            }
        }
    }
    all
}

fn rule(chain: &Chain, wish: Wish<'_>, traffic: Traffic) -> Needed {
    let family = |net: IpNet| if net.addr().is_ipv4() { "ip" } else { "ip6" };
    let networks = match traffic {
        Traffic::All => String::new(),
        Traffic::From(net) => format!("{} saddr {net} ", family(net)),
        Traffic::To(net) => format!("{} daddr {net} ", family(net)),
    };
    let port = match wish {
        Wish::Opening(Opening { protocol, port, .. }) => format!("{protocol} dport {port} "),
        Wish::Forwarding(_) => String::new(),
    };
    let comment = wish.mark(traffic);
    let Chain { family, table, name, hook: _, policy: _ } = chain;
    let command = format!("insert rule {family} {table} {name} {networks}{port}accept comment \"{comment}\"");
    Needed { chain: chain.clone(), traffic, comment, command }
}

/// Whether a chain refuses packets of its hook that it does not know: by its policy or by its last rule.
fn refuses(ruleset: &Ruleset, chain: &Chain, hook: &str) -> bool {
    if chain.hook.as_deref() != Some(hook) {
        return false;
    }
    if chain.policy.as_deref() == Some("drop") {
        return true;
    }
    let mut rules = ruleset.nftables.iter().filter_map(|item| item.rule.as_ref());
    rules.rfind(|rule| is_in(rule, chain)).is_some_and(|last| {
        let refusing = |part: &Value| part.get("drop").is_some() || part.get("reject").is_some();
        last.expr.iter().any(refusing) && !last.expr.iter().any(|part| part.get("match").is_some())
    })
}

fn has(ruleset: &Ruleset, needed: &Needed) -> bool {
    let rules = ruleset.nftables.iter().filter_map(|item| item.rule.as_ref());
    let mut ours = rules.filter(|rule| is_in(rule, &needed.chain));
    ours.any(|rule| rule.comment.as_ref() == Some(&needed.comment))
}

fn is_in(rule: &Rule, chain: &Chain) -> bool {
    (&rule.family, &rule.table, &rule.chain) == (&chain.family, &chain.table, &chain.name)
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::{State, state::Forwarding};
    use serde_json::json;

    use super::*;
    use crate::testing::Lab;

    fn ruleset(policy: &str, rules: &str) -> String {
        format!(
            r#"{{"nftables": [{{"metainfo": {{"json_schema_version": 1}}}},
            {{"table": {{"family": "inet", "name": "filter", "handle": 1}}}},
            {{"chain": {{"family": "inet", "table": "filter", "name": "input", "handle": 1, "type": "filter",
              "hook": "input", "prio": 0, "policy": "{policy}"}}}},
            {{"chain": {{"family": "inet", "table": "filter", "name": "other", "handle": 2}}}}{rules}]}}"#
        )
    }

    fn wish(sources: &[&str]) -> Opening {
        let sources = sources.iter().map(|source| source.parse().unwrap()).collect();
        Opening { name: "api".to_owned(), protocol: "tcp".to_owned(), port: 6443, sources }
    }

    /// nft that keeps inserted rules by their comment, and numbers them from 101 on.
    fn lab(policy: &str) -> Lab {
        let lab = Lab::new();
        lab.file("/fake/head", ruleset(policy, "").strip_suffix("]}").unwrap());
        lab.file("/fake/rules", "");
        lab.file("/fake/inserted", "");
        lab.program(
            "nft",
            r#"rules="$ROOT/fake/rules"
               case "$1" in
               --json) cat "$ROOT/fake/head" "$rules"; echo ']}' ;;
               insert*)
                   comment=${1#*\"}
                   echo >> "$ROOT/fake/inserted"
                   handle=$(($(wc -l < "$ROOT/fake/inserted") + 100))
                   printf ', {"rule": {"family": "inet", "table": "filter", "chain": "input",' >> "$rules"
                   printf ' "handle": %s, "comment": "%s", "expr": []}}\n' "$handle" "${comment%\"}" >> "$rules" ;;
               'delete rule inet filter input handle '*) sed -i "/\"handle\": *${1##* },/d" "$rules" ;;
               *) exit 1 ;;
               esac"#,
        );
        lab
    }

    /// Rules that are there already, with these comments, numbered from 1 on.
    fn present(lab: &Lab, comments: &[&str]) {
        let rule = |(place, comment): (usize, &&str)| {
            let handle = place + 1;
            let rule = json!({"family": "inet", "table": "filter", "chain": "input", "handle": handle,
                "comment": comment, "expr": []});
            format!(", {}\n", json!({ "rule": rule }))
        };
        lab.file("/fake/rules", &comments.iter().enumerate().map(rule).collect::<Vec<_>>().concat());
    }

    fn line(comment: &str) -> String {
        format!("insert rule inet filter input tcp dport 6443 accept comment \"{comment}\"\n")
    }

    #[tokio::test]
    async fn a_chain_that_drops_gets_a_rule_now_and_at_boot() {
        let lab = lab("drop");
        lab.file("/etc/nftables.conf", "flush ruleset\ntable inet filter {\n}\n");
        lab.settles(&State::Opening(wish(&["10.0.0.0/8"]))).await;
        assert_eq!(
            lab.text("/etc/nftables.d/metalk8s.nft"),
            "insert rule inet filter input ip saddr 10.0.0.0/8 tcp dport 6443 accept \
             comment \"metalk8s api 6443/tcp 10.0.0.0/8\"\n"
        );
        assert!(lab.text("/etc/nftables.conf").ends_with("\ninclude \"/etc/nftables.d/metalk8s.nft*\"\n"));
    }

    #[tokio::test]
    async fn a_table_that_the_hosts_file_does_not_make_is_not_written_to_it() {
        let lab = lab("drop");
        lab.file("/etc/nftables.conf", "table inet other {\n}\n");
        lab.settles(&State::Opening(wish(&[]))).await;
        assert!(!lab.path("/etc/nftables.d/metalk8s.nft").exists());
    }

    #[tokio::test]
    async fn who_is_not_wished_any_more_is_shut_out_and_rules_of_others_stay() {
        let lab = lab("drop");
        lab.file("/etc/nftables.conf", "table inet filter {\n}\n");
        // Of other openings, and of a person.
        let others = [
            "metalk8s api 6443/udp 10.0.0.0/8",
            "metalk8s other 6443/tcp 10.0.0.0/8",
            "metalk8s api 6443/tcp for the backup",
            "10.0.0.0/8",
        ];
        let ours = ["metalk8s api 6443/tcp 10.0.0.0/8", "metalk8s api 6443/tcp all"];
        present(&lab, &[&others[..], &ours[..]].concat());
        let kept = others.map(line).concat();
        lab.file("/etc/nftables.d/metalk8s.nft", &(line(ours[0]) + &kept));

        let change = lab.settles(&State::Opening(wish(&["10.0.0.3/32", "10.0.0.2/32"]))).await;
        assert_eq!(
            change.summary,
            "open port 6443/tcp to 10.0.0.2/32, 10.0.0.3/32 and close it to everybody, 10.0.0.0/8 (api)"
        );
        let rules = lab.text("/fake/rules");
        let is_there = |comment: &str| rules.contains(&format!("\"{comment}\""));
        assert!(others.iter().all(|comment| is_there(comment)), "{rules}");
        assert!(!ours.iter().any(|comment| is_there(comment)), "{rules}");
        let text = lab.text("/etc/nftables.d/metalk8s.nft");
        assert!(text.starts_with(&kept) && text.lines().count() == others.len() + 2, "{text}");
        let calls = lab.calls();
        let last_insert = calls.iter().rposition(|call| call.starts_with("nft insert"));
        let deleted = calls.iter().position(|call| call == "nft delete rule inet filter input handle 5");
        assert!(last_insert.unwrap() < deleted.unwrap(), "somebody was shut out in between: {calls:?}");

        let change = lab.settles(&State::Opening(wish(&["10.0.0.2/32"]))).await;
        assert_eq!(change.summary, "close port 6443/tcp to 10.0.0.3/32 (api)");
    }

    #[tokio::test]
    async fn who_would_come_in_after_a_boot_alone_is_shut_out_too() {
        let lab = lab("drop");
        lab.settles(&State::Opening(wish(&["10.0.0.2/32"]))).await;
        lab.file("/etc/nftables.d/metalk8s.nft", &line("metalk8s api 6443/tcp 10.0.0.0/8"));
        let change = lab.settles(&State::Opening(wish(&["10.0.0.2/32"]))).await;
        assert_eq!(change.summary, "close port 6443/tcp to 10.0.0.0/8 (api)");
        assert_eq!(lab.text("/etc/nftables.d/metalk8s.nft"), "");
    }

    #[tokio::test]
    async fn who_is_not_wished_any_more_goes_from_a_chain_that_accepts() {
        let lab = lab("accept");
        present(&lab, &["metalk8s api 6443/tcp 10.0.0.0/8", "metalk8s api 6443/tcp 10.0.0.2/32"]);
        lab.settles(&State::Opening(wish(&["10.0.0.2/32"]))).await;
        assert_eq!(lab.text("/fake/rules").lines().count(), 1);
        assert!(lab.text("/fake/rules").contains("6443/tcp 10.0.0.2/32"));
    }

    #[tokio::test]
    async fn a_chain_that_accepts_needs_nothing() {
        assert_eq!(lab("accept").check(&State::Opening(wish(&[]))).await.unwrap(), None);
    }

    #[test]
    fn a_last_rule_without_a_condition_refuses_as_a_policy_does() {
        let with = |expr: &str| {
            let rule = format!(
                r#", {{"rule": {{"family": "inet", "table": "filter", "chain": "input", "handle": 9, "expr": {expr}}}}}"#
            );
            let ruleset: Ruleset = serde_json::from_str(&ruleset("accept", &rule)).unwrap();
            needed(&ruleset, Wish::Opening(&wish(&[]))).len()
        };
        assert_eq!(with(r#"[{"counter": {"packets": 0, "bytes": 0}}, {"reject": {"type": "icmpx"}}]"#), 1);
        assert_eq!(with(r#"[{"match": {"op": "=="}}, {"drop": null}]"#), 0);
        assert_eq!(with(r#"[{"accept": null}]"#), 0);
    }

    #[tokio::test]
    async fn forwarded_packets_pass_in_both_directions_where_the_chain_of_forwarding_refuses() {
        let lab = Lab::new();
        let chain = |name: &str, policy: &str| {
            json!({"chain": {"family": "inet", "table": "filter", "name": name, "handle": 1, "type": "filter",
                "hook": name, "prio": 0, "policy": policy}})
        };
        let head = |policy: &str| {
            let items = [chain("input", "drop"), chain("forward", policy)].map(|item| item.to_string());
            format!(r#"{{"nftables": [{}"#, items.join(", "))
        };
        lab.file("/fake/rules", "");
        lab.program(
            "nft",
            r#"case "$1" in
               --json) cat "$ROOT/fake/head" "$ROOT/fake/rules"; echo ']}' ;;
               'insert rule inet filter forward ip '*)
                   comment=${1#*\"}
                   printf ', {"rule": {"family": "inet", "table": "filter", "chain": "forward", "handle": 9,' >> "$ROOT/fake/rules"
                   printf ' "comment": "%s", "expr": []}}\n' "${comment%\"}" >> "$ROOT/fake/rules" ;;
               *) exit 1 ;;
               esac"#,
        );
        let networks = vec!["10.1.0.0/16".parse().unwrap()];
        let wish = State::Forwarding(Forwarding { name: "pods".to_owned(), networks });
        lab.file("/fake/head", &head("accept"));
        assert_eq!(lab.check(&wish).await.unwrap(), None);

        lab.file("/fake/head", &head("drop"));
        lab.settles(&wish).await;
        let calls = lab.calls();
        for rule in [
            r#"forward ip saddr 10.1.0.0/16 accept comment "metalk8s pods forwarded 10.1.0.0/16""#,
            r#"forward ip daddr 10.1.0.0/16 accept comment "metalk8s pods forwarded to 10.1.0.0/16""#,
        ] {
            assert!(calls.iter().any(|call| call.contains(rule)), "{calls:?}");
        }
    }
}
