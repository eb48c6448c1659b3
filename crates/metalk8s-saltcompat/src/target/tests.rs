use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Target, TargetKind, matching, subset};

fn grains() -> Vec<(&'static str, Option<Value>)> {
    vec![
        (
            "bootstrap",
            Some(json!({
                           "os": "Debian",
                           "metalk8s": {"control_plane_ip": "10.0.0.1", "roles": ["master", "etcd"]},
                           "ipv4": ["127.0.0.1", "10.0.0.1"],
                           "num": 4, "t": true, "n": null, "e": "",
            "ifs": {"eth0": ["fe80::1"]}, "l": [{"k": "v"}],
                       })),
        ),
        ("node-1", Some(json!({"os": "Rocky", "metalk8s": {"roles": ["node"]}}))),
        ("node-10", Some(json!({"os": "Ubuntu", "metalk8s": {"roles": ["node"]}}))),
        ("node-2", None),
    ]
}

fn meant(kind: TargetKind, text: &str) -> Vec<String> {
    let target = Target::parse(kind, text).unwrap();
    let minions = grains();
    let found = matching(&target, minions.iter().map(|(id, grains)| (*id, grains.as_ref())));
    found.into_iter().collect()
}

fn check(kind: TargetKind, text: &str, expect: &[&str]) {
    assert_eq!(meant(kind, text), expect, "{text}");
}

fn words_of_mistakes(kind: TargetKind, text: &str) -> Vec<String> {
    let problems = Target::parse(kind, text).unwrap_err().problems;
    problems.into_iter().map(|problem| problem.found.unwrap()).collect()
}

#[test]
fn globs_mean_whole_names() {
    check(TargetKind::Glob, "*", &["bootstrap", "node-1", "node-10", "node-2"]);
    check(TargetKind::Glob, "node-1", &["node-1"]);
    check(TargetKind::Glob, "node-[12]", &["node-1", "node-2"]);
    check(TargetKind::Glob, "node-1,node-2", &[]);
}

#[test]
fn lists_mean_the_names_in_them_and_tell_of_those_that_nobody_has() {
    check(TargetKind::List, "node-1, node-2,", &["node-1", "node-2"]);
    check(TargetKind::List, "node-1 node-2", &["node-1", "node-2"]);
    let target = Target::parse(TargetKind::List, "node-1,node-9").unwrap();
    assert_eq!(target.missing(["bootstrap", "node-1"]), BTreeSet::from(["node-9".to_owned()]));
    assert_eq!(words_of_mistakes(TargetKind::List, ","), ["`,`"]);
}

#[test]
fn patterns_fit_from_the_beginning_but_not_up_to_the_end() {
    check(TargetKind::Pcre, "node-1", &["node-1", "node-10"]);
    check(TargetKind::Pcre, "node-1$", &["node-1"]);
    check(TargetKind::Pcre, "ode", &[]);
    check(TargetKind::Pcre, "x|boot(strap)?", &["bootstrap"]);
}

#[test]
fn what_a_pattern_cannot_say_is_told() {
    for pattern in ["node-(?!1)", "(a)\\1", "(?<=a)b"] {
        let problems = Target::parse(TargetKind::Pcre, pattern).unwrap_err().problems;
        assert_eq!(problems[0].found, Some(format!("`{pattern}`")));
        assert!(problems[0].message.contains("not supported"), "{}", problems[0].message);
        assert!(problems[0].accepted.as_ref().unwrap().contains("without look-around"));
    }
    assert_eq!(words_of_mistakes(TargetKind::Pcre, "node-("), ["`node-(`"]);
}

#[test]
fn facts_are_found_as_salt_finds_them() {
    for expression in [
        "os:debian",
        "os:Deb*",
        "os:*",
        "metalk8s:control_plane_ip:10.*",
        "metalk8s:control_plane_ip",
        "metalk8s:*ip",
        "metalk8s:*",
        "metalk8s:roles:etcd",
        "metalk8s:roles:*",
        "metalk8s:*:master",
        "metalk8s:*:10*",
        "ipv4:10.*",
        "num:4",
        "num:*",
        "t:true",
        "t:True",
        "n:none",
        "e:",
        "e:*",
        "ifs:eth0:fe80::1",
        "l:k:v",
        "l:k",
        "l:0:k:v",
        "*:Debian",
    ] {
        assert!(meant(TargetKind::Grain, expression).contains(&"bootstrap".to_owned()), "{expression}");
    }
    for expression in ["nope:*", "os:Debian:x", "os:Ubuntu", "metalk8s:roles:x", "*:Ubunt"] {
        assert!(!meant(TargetKind::Grain, expression).contains(&"bootstrap".to_owned()), "{expression}");
    }
    assert_eq!(words_of_mistakes(TargetKind::Grain, "os"), ["`os`"]);
}

#[test]
fn compound_targets_join_the_others() {
    let check = |text: &str, expect: &[&str]| check(TargetKind::Compound, text, expect);
    check("G@os:Debian or L@node-1,node-2", &["bootstrap", "node-1", "node-2"]);
    check("node-* and not E@node-1", &["node-2"]);
    check("node-* not node-2", &["node-1", "node-10"]);
    check("not node-*", &["bootstrap"]);
    check("not not node-2", &["node-2"]);
    check("bootstrap or node-* and G@os:Rocky", &["bootstrap", "node-1"]);
    check("( bootstrap or node-* ) and G@os:Rocky", &["node-1"]);
    check("not ( bootstrap or E@node-(1|3) )", &["node-2"]);
}

#[test]
fn names_that_are_excluded_need_not_exist() {
    let target = Target::parse(TargetKind::Compound, "L@a,b or not L@c").unwrap();
    assert_eq!(target.missing(["a"]), BTreeSet::from(["b".to_owned()]));
}

#[test]
fn mistakes_of_compound_targets_name_the_word() {
    let words = |text: &str| words_of_mistakes(TargetKind::Compound, text);
    assert_eq!(words("X@a or G@os or E@( and node-1"), ["`X@a`", "`os`", "`(`"]);
    assert_eq!(words("node-1 node-2"), ["`node-2`"]);
    assert_eq!(words("and node-2"), ["`and`"]);
    assert_eq!(words("node-2 or"), ["`or`"]);
    assert_eq!(words("node-2 or and node-1"), ["`and`"]);
    assert_eq!(words("( node-2"), ["`(`"]);
    assert_eq!(words("( node-2 node-1 )"), ["`node-1`"]);
    assert_eq!(words("node-2 )"), ["`)`"]);
    assert_eq!(words("(node-2 or node-1)"), ["`(node-2`", "`node-1)`"]);
    assert_eq!(words(" "), ["``"]);
    assert_eq!(words(&"( ".repeat(50_000)), ["`(`"]);
}

#[test]
fn what_would_need_much_memory_is_refused() {
    let message = |kind, text: &str| Target::parse(kind, text).unwrap_err().problems[0].message.clone();
    assert!(message(TargetKind::Glob, &"a".repeat(200_000)).contains("has 200000 bytes"));
    assert!(message(TargetKind::Pcre, "(\\w{100}){100}").contains("exceeds size limit"));
    let patterns = |count: usize| vec!["E@a"; count].join(" or ");
    assert!(message(TargetKind::Compound, &patterns(17)).contains("too many regular expressions"));
    assert!(Target::parse(TargetKind::Compound, &patterns(16)).is_ok());
}

#[test]
fn only_facts_need_grains() {
    let needs = |text| Target::parse(TargetKind::Compound, text).unwrap().needs_grains();
    assert!(needs("a or not ( b and G@os:x )"));
    assert!(!needs("a or L@b or E@c"));
}

#[test]
fn kinds_have_salts_names() {
    for name in ["glob", "list", "pcre", "grain", "compound"] {
        assert_eq!(name.parse::<TargetKind>().unwrap().name(), name);
    }
    assert!("range".parse::<TargetKind>().unwrap_err().contains("`pcre`"));
}

#[test]
fn a_subset_is_as_large_as_wished_and_possible() {
    let minions: BTreeSet<String> = ["a", "b", "c"].map(str::to_owned).into();
    let last = |count| subset(minions.clone(), count, |below| below - 1);
    assert_eq!(last(2), BTreeSet::from(["b".to_owned(), "c".to_owned()]));
    assert_eq!(last(0), BTreeSet::new());
    assert_eq!(last(9), minions);
    assert_eq!(subset(minions.clone(), 1, |_| 0), BTreeSet::from(["a".to_owned()]));
}
