//! Rules of the packet filter that programs of pods have left: kube-proxy has tables of its own, the kubelet and
//! Calico have chains in those of iptables.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{Seek, Write},
};

use metalk8s_engine::{Change, ChangeKind, StateError};
use rustix::fs::{MemfdFlags, memfd_create};
use serde_json::Value;

use super::{Firewall, firewalld, policy, which};
use crate::{Host, doing::Doing, program::ProgramError};

/// Tables that iptables makes when somebody asks for them, and fills with nothing by itself.
const OF_IPTABLES: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];
/// The most that is read of a ruleset, in bytes.
const MOST: usize = 64 << 20;

pub(crate) async fn check(
    host: &Host,
    tables: &BTreeSet<String>,
    chains: &BTreeSet<String>,
    comments: &BTreeSet<String>,
) -> Result<Option<Change>, StateError> {
    let undone = undone(&ruleset(host).await?, &Ours { tables, chains, comments });
    let mut count = undone.len() + sets(host, chains).await?.len();
    if are_of_openings(comments) && matches!(which(host).await?, Firewall::Firewalld) {
        count += firewalld::count(host).await? + policy::count(host).await?;
    }
    let summary = || format!("remove {count} tables, chains, rules and sets of the packet filter");
    Ok((count > 0).then(|| Change::new(ChangeKind::Remove, summary())))
}

pub(crate) async fn remove(
    host: &Host,
    tables: &BTreeSet<String>,
    chains: &BTreeSet<String>,
    comments: &BTreeSet<String>,
) -> Result<(), StateError> {
    let doing = || "could not remove rules of the packet filter".to_owned();
    let undone = undone(&ruleset(host).await?, &Ours { tables, chains, comments });
    if !undone.is_empty() {
        // All of it or nothing: a chain without its rules must not be met by a packet.
        let mut script = File::from(memfd_create("rules", MemfdFlags::CLOEXEC).doing(doing)?);
        script.write_all(undone.join("\n").as_bytes()).doing(doing)?;
        script.rewind().doing(doing)?;
        host.program("nft").args(["--file", "-"]).input(script).run().await.doing(doing)?;
    }
    if are_of_openings(comments) && matches!(which(host).await?, Firewall::Firewalld) {
        firewalld::close(host).await?;
        policy::remove(host).await?;
    }
    for name in sets(host, chains).await? {
        host.program("ipset").args(["destroy", &name]).run().await.doing(doing)?;
    }
    Ok(())
}

/// Whether rules go that openings have made: in firewalld, which has no comments, they are known by a record.
fn are_of_openings(comments: &BTreeSet<String>) -> bool {
    comments.iter().any(|comment| comment.trim_end() == "metalk8s")
}

/// What is known to be ours by its name.
struct Ours<'a> {
    tables: &'a BTreeSet<String>,
    chains: &'a BTreeSet<String>,
    comments: &'a BTreeSet<String>,
}

impl Ours<'_> {
    fn has_chain(&self, name: &str) -> bool {
        self.chains.iter().any(|prefix| name.starts_with(prefix))
    }

    /// Whether a rule of a chain that stays leads to one of ours, or says that it is ours.
    fn has_rule(&self, rule: &Value) -> bool {
        let comment = rule["comment"].as_str().unwrap_or_default();
        let leads_here = |part: &Value| {
            let target = part["jump"]["target"].as_str().or(part["goto"]["target"].as_str());
            target.is_some_and(|target| self.has_chain(target))
        };
        self.comments.iter().any(|prefix| comment.starts_with(prefix))
            || rule["expr"].as_array().is_some_and(|parts| parts.iter().any(leads_here))
    }
}

/// The commands of nft(8) that remove what is ours, and nothing else. Pure.
fn undone(ruleset: &Value, ours: &Ours<'_>) -> Vec<String> {
    let items = || ruleset["nftables"].as_array().into_iter().flatten();
    let text = |value: &'_ Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let mut gone: BTreeSet<(String, String)> = BTreeSet::new();
    for table in items().filter_map(|item| item.get("table")) {
        let (family, name) = (text(table, "family"), text(table, "name"));
        if ours.tables.contains(&name) || is_empty_without_ours(ruleset, &family, &name, ours) {
            gone.insert((family, name));
        }
    }
    let stays = |item: &&Value| !gone.contains(&(text(item, "family"), text(item, "table")));
    let place = |item: &Value| format!("{} {}", text(item, "family"), text(item, "table"));
    let mut commands: Vec<String> =
        gone.iter().map(|(family, name)| format!("delete table {family} {name}")).collect();
    let rules = items().filter_map(|item| item.get("rule")).filter(stays);
    for rule in rules.filter(|rule| !ours.has_chain(&text(rule, "chain")) && ours.has_rule(rule)) {
        commands.push(format!(
            "delete rule {} {} handle {}",
            place(rule),
            text(rule, "chain"),
            rule["handle"]
        ));
    }
    let chains = || items().filter_map(|item| item.get("chain")).filter(stays);
    let our_chains = || chains().filter(|chain| ours.has_chain(&text(chain, "name")));
    // They lead to one another: all are emptied before the first of them goes.
    for verb in ["flush", "delete"] {
        commands.extend(
            our_chains().map(|chain| format!("{verb} chain {} {}", place(chain), text(chain, "name"))),
        );
    }
    commands
}

/// Whether a table that iptables has made would hold nothing but its own empty chains. Pure.
fn is_empty_without_ours(ruleset: &Value, family: &str, table: &str, ours: &Ours<'_>) -> bool {
    if !OF_IPTABLES.contains(&table) || !matches!(family, "ip" | "ip6") {
        return false;
    }
    let items = || ruleset["nftables"].as_array().into_iter().flatten();
    let is_in = |item: &&Value| item["family"] == family && item["table"] == table;
    let chains: Vec<&Value> = items().filter_map(|item| item.get("chain")).filter(is_in).collect();
    let name = |chain: &Value| chain["name"].as_str().unwrap_or_default().to_owned();
    let is_ours = |chain: &&&Value| ours.has_chain(&name(chain));
    let is_untouched = |chain: &Value| chain["policy"] == "accept";
    let rules = || items().filter_map(|item| item.get("rule")).filter(is_in);
    let mut left = rules()
        .filter(|rule| !ours.has_chain(rule["chain"].as_str().unwrap_or_default()) && !ours.has_rule(rule));
    let has_ours = chains.iter().any(|chain| is_ours(&chain)) || rules().any(|rule| ours.has_rule(rule));
    has_ours && chains.iter().all(|chain| is_ours(&chain) || is_untouched(chain)) && left.next().is_none()
}

/// Writes into a ruleset the comments of rules that iptables has made: nft(8) shows that there is one, and not what it
/// says. `saved` is what iptables-save(8) tells of the same chains; others are left alone. Pure.
fn add_comments(ruleset: &mut Value, family: &str, saved: &str) {
    let mut told: BTreeMap<(String, String), Vec<Option<String>>> = BTreeMap::new();
    let mut table = "";
    for line in saved.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if let Some((chain, rest)) = line.strip_prefix("-A ").and_then(|rule| rule.split_once(' ')) {
            let comment =
                rest.split_once("--comment ").map(|(_, comment)| comment.trim_start_matches('"').to_owned());
            told.entry((table.to_owned(), chain.to_owned())).or_default().push(comment);
        }
    }
    let place = |rule: &Value| {
        let text = |key: &str| rule[key].as_str().unwrap_or_default().to_owned();
        (text("family") == family).then(|| (text("table"), text("chain")))
    };
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    let items = ruleset["nftables"].as_array_mut().map(Vec::as_mut_slice).unwrap_or_default();
    for place in items.iter().filter_map(|item| place(item.get("rule")?)) {
        *counts.entry(place).or_default() += 1;
    }
    told.retain(|place, rules| counts.get(place) == Some(&rules.len()));
    for rule in items.iter_mut().filter_map(|item| item.get_mut("rule")) {
        let rules = place(rule).and_then(|place| told.get_mut(&place));
        if let Some(Some(comment)) = rules.map(|rules| rules.remove(0)) {
            rule["comment"] = comment.into();
        }
    }
}

/// The ruleset as nft(8) tells it in JSON; empty where there is no nft, or no nftables in the kernel.
async fn ruleset(host: &Host) -> Result<Value, StateError> {
    let doing = || "could not ask the kernel for its packet filter".to_owned();
    if !host.has_program("nft") {
        return Ok(Value::Null);
    }
    let mut ruleset = match host.program("nft").args(["--json", "list", "ruleset"]).keeping(MOST).run().await
    {
        Ok(output) => serde_json::from_str(&output.stdout).doing(doing)?,
        Err(ProgramError::Failed { stderr, .. }) if stderr.contains("not supported") => {
            return Ok(Value::Null);
        }
        Err(err) => return Err(err).doing(doing),
    };
    for (family, program) in [("ip", "iptables-save"), ("ip6", "ip6tables-save")] {
        if host.has_program(program) {
            let saved = host.program(program).keeping(MOST).run().await.doing(doing)?;
            add_comments(&mut ruleset, family, &saved.stdout);
        }
    }
    Ok(ruleset)
}

/// Sets of ipset(8) whose names begin so, in the kernel's spelling without punctuation.
async fn sets(host: &Host, chains: &BTreeSet<String>) -> Result<Vec<String>, StateError> {
    if !host.has_program("ipset") {
        return Ok(Vec::new());
    }
    let program = host.program("ipset").args(["list", "-name"]);
    let output = program.run().await.doing(|| "could not list the sets of the packet filter".to_owned())?;
    let is_ours = |name: &&str| chains.iter().any(|prefix| name.starts_with(prefix.trim_end_matches('-')));
    Ok(output.stdout.lines().map(str::trim).filter(is_ours).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use metalk8s_engine::{State, state::Removed};
    use serde_json::json;

    use super::*;
    use crate::testing::Lab;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn chain(family: &str, table: &str, name: &str, policy: Option<&str>) -> Value {
        json!({"chain": {"family": family, "table": table, "name": name, "policy": policy}})
    }

    fn rule(table: &str, chain: &str, handle: u8, target: &str) -> Value {
        json!({"rule": {"family": "ip", "table": table, "chain": chain, "handle": handle,
            "expr": [{"match": {}}, {"jump": {"target": target}}]}})
    }

    fn commands(items: &[Value]) -> Vec<String> {
        let (tables, chains) = (names(&["kube-proxy"]), names(&["cali-", "KUBE-"]));
        let comments = names(&["metalk8s "]);
        let ours = Ours { tables: &tables, chains: &chains, comments: &comments };
        undone(&json!({ "nftables": items }), &ours)
    }

    #[test]
    fn tables_of_kube_proxy_and_those_that_iptables_made_for_us_alone_go_whole() {
        let told = commands(&[
            json!({"metainfo": {}}),
            json!({"table": {"family": "ip6", "name": "kube-proxy"}}),
            chain("ip6", "kube-proxy", "services", None),
            json!({"table": {"family": "ip", "name": "filter"}}),
            chain("ip", "filter", "INPUT", Some("accept")),
            chain("ip", "filter", "cali-INPUT", None),
            rule("filter", "INPUT", 4, "cali-INPUT"),
            rule("filter", "cali-INPUT", 5, "cali-x"),
        ]);
        assert_eq!(told, ["delete table ip filter", "delete table ip6 kube-proxy"]);
    }

    #[test]
    fn what_others_have_in_the_same_tables_stays() {
        let told = commands(&[
            json!({"table": {"family": "ip", "name": "filter"}}),
            chain("ip", "filter", "INPUT", Some("drop")),
            chain("ip", "filter", "docker", None),
            chain("ip", "filter", "cali-INPUT", None),
            chain("ip", "filter", "KUBE-FIREWALL", None),
            rule("filter", "INPUT", 4, "cali-INPUT"),
            rule("filter", "INPUT", 5, "docker"),
            rule("filter", "docker", 6, "KUBE-FIREWALL"),
            json!({"rule": {"family": "ip", "table": "filter", "chain": "INPUT", "handle": 9,
                "comment": "metalk8s kubelet 10250/tcp all", "expr": []}}),
            json!({"table": {"family": "inet", "name": "filter"}}),
            chain("inet", "filter", "input", Some("accept")),
        ]);
        let expected = [
            "delete rule ip filter INPUT handle 4",
            "delete rule ip filter docker handle 6",
            "delete rule ip filter INPUT handle 9",
            "flush chain ip filter cali-INPUT",
            "flush chain ip filter KUBE-FIREWALL",
            "delete chain ip filter cali-INPUT",
            "delete chain ip filter KUBE-FIREWALL",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn comments_of_iptables_come_from_iptables() {
        let rule = |handle: u8| {
            let expr = json!([{"xt": {"type": "match", "name": "comment"}}]);
            json!({"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "handle": handle, "expr": expr}})
        };
        let mut ruleset = json!({"nftables": [
            chain("ip", "filter", "FORWARD", Some("accept")), rule(7), rule(8), rule(9),
        ]});
        let saved = "*filter\n:FORWARD ACCEPT [0:0]\n\
            -A FORWARD -m comment --comment \"cali:S93h\" -m comment --comment \"why\" -j ACCEPT\n\
            -A FORWARD -j ACCEPT\n-A FORWARD -m comment --comment mine -j DROP\nCOMMIT\n";
        add_comments(&mut ruleset, "ip", saved);
        let (none, comments) = (names(&[]), names(&["cali:"]));
        let ours = Ours { tables: &none, chains: &none, comments: &comments };
        assert_eq!(undone(&ruleset, &ours), ["delete rule ip filter FORWARD handle 7"]);
        // Another backend of iptables tells of other chains than nft.
        let mut other = json!({"nftables": [rule(7)]});
        add_comments(&mut other, "ip", saved);
        assert_eq!(undone(&other, &ours), [""; 0]);
    }

    #[tokio::test]
    async fn rules_and_sets_go_once() {
        let lab = Lab::new();
        lab.file("/fake/sets", "cali40s:abc\nmine\n");
        lab.file("/fake/rules", r#"{"nftables": [{"table": {"family": "ip", "name": "kube-proxy"}}]}"#);
        lab.program(
            "nft",
            r#"case "$*" in *list*) cat "$ROOT/fake/rules";; *) cat > "$ROOT/fake/told"; echo '{}' > "$ROOT/fake/rules";; esac"#,
        );
        lab.program(
            "ipset",
            r#"case "$1" in list) cat "$ROOT/fake/sets";; *) sed -i "/^$2/d" "$ROOT/fake/sets";; esac"#,
        );
        let wish = Removed::PacketRules {
            tables: names(&["kube-proxy"]),
            chains: names(&["cali-"]),
            comments: names(&[]),
        };
        lab.settles(&State::Removed(wish)).await;
        assert_eq!(lab.text("/fake/told"), "delete table ip kube-proxy");
        assert_eq!(lab.text("/fake/sets"), "mine\n");
    }
}
