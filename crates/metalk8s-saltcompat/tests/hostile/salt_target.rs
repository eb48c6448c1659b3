//! Understood: only minions that were offered are meant, by the same rule for one and for all, and a target
//! within another one means the same. Refused: each mistake is in a word of the target and has a short
//! message on one line. Shared with the fuzz target `salt_target`.

use std::{collections::BTreeSet, iter};

use metalk8s_diagnostics::Problem;
use metalk8s_saltcompat::{Target, TargetKind, matching};
use serde_json::{Value, json};

const KINDS: [TargetKind; 5] =
    [TargetKind::Glob, TargetKind::List, TargetKind::Pcre, TargetKind::Grain, TargetKind::Compound];
const NAMES: [&str; 6] = ["", "bootstrap", "node-1", "node-10", "node-2", "é.example.com"];
/// How deep parentheses may be nested.
const DEPTH: usize = 32;
const LONGEST_MESSAGE: usize = 300;

/// Minions that can be meant: some of ours, and one that is called as the target is written.
struct Minions<'t> {
    names: BTreeSet<&'t str>,
    grains: Value,
}

impl Minions<'_> {
    /// They are known of about half of them.
    fn grains(&self, name: &str) -> Option<&Value> {
        name.len().is_multiple_of(2).then_some(&self.grains)
    }

    fn meant_by(&self, target: &Target) -> BTreeSet<String> {
        matching(target, self.names.iter().map(|name| (*name, self.grains(name))))
    }

    /// `None` where the target is refused.
    fn meant(&self, kind: TargetKind, text: &str) -> Option<BTreeSet<String>> {
        Target::parse(kind, text).ok().map(|target| self.meant_by(&target))
    }

    fn all(&self) -> BTreeSet<String> {
        self.names.iter().map(|name| (*name).to_owned()).collect()
    }
}

pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let grains = json!({
        "os": "Debian", "metalk8s": {"roles": ["master", "etcd"], "control_plane_ip": "10.0.0.1"},
        "ipv4": ["127.0.0.1", "10.0.0.1"], "n": null, "a": {"a": {"a": [{"a": 1.5}, "fe80::1"]}}, "": true,
    });
    let minions = Minions { names: NAMES.into_iter().chain([text]).collect(), grains };
    for kind in KINDS {
        match Target::parse(kind, text) {
            Ok(target) => check_target(&minions, &target, kind, text),
            Err(problems) => {
                assert_ne!(kind, TargetKind::Glob, "every text is a pattern");
                let words = text.split_whitespace().count().max(1);
                assert!((1..=words).contains(&problems.problems.len()));
                problems.problems.iter().for_each(|problem| check_mistake(text, problem));
            }
        }
    }
    check_pattern(&minions, text);
    check_word(&minions, text);
    check_joined(&minions, text);
}

fn check_target(minions: &Minions<'_>, target: &Target, kind: TargetKind, text: &str) {
    assert_eq!((target.kind(), target.text()), (kind, text));
    let meant = minions.meant_by(target);
    assert!(meant.is_subset(&minions.all()), "{meant:?}");
    for name in &minions.names {
        assert_eq!(target.is_for(name, minions.grains(name)), meant.contains(*name), "{kind:?} {name:?}");
        if !target.needs_grains() {
            assert_eq!(target.is_for(name, None), meant.contains(*name), "{kind:?} {name:?}");
        }
    }
    let listed = target.missing(iter::empty());
    let written = text.replace(' ', "");
    assert!(listed.iter().all(|name| !name.is_empty() && written.contains(name.as_str())), "{listed:?}");
    let missing = target.missing(minions.names.iter().copied());
    assert_eq!(missing, &listed - &minions.all());
    if kind == TargetKind::List {
        assert_eq!(meant, &listed & &minions.all());
    }
}

fn check_mistake(text: &str, problem: &Problem) {
    let found = problem.found.as_deref().expect("a mistake has its word");
    let word = found.strip_prefix('`').and_then(|word| word.strip_suffix('`')).expect("a word is quoted");
    assert!(text.contains(word), "{word:?}");
    assert!(problem.accepted.is_some(), "{problem}");
    let message = problem.to_string();
    assert!(message.len() < LONGEST_MESSAGE && !message.contains(char::is_control), "{message:?}");
}

/// A pattern without signs means itself, and with a `*` at one end it means no fewer.
fn check_pattern(minions: &Minions<'_>, text: &str) {
    let meant = |text: &str| minions.meant(TargetKind::Glob, text).expect("every text is a pattern");
    if !text.contains(['*', '?', '[']) {
        assert_eq!(meant(text), BTreeSet::from([text.to_owned()]));
    }
    if !text.is_empty() && text.chars().all(|sign| sign == '*') {
        assert_eq!(meant(text), minions.all());
    }
    for wider in [format!("*{text}"), format!("{text}*")] {
        assert!(meant(text).is_subset(&meant(&wider)), "{wider:?}");
    }
}

/// A target without blanks is a word of a compound one.
fn check_word(minions: &Minions<'_>, text: &str) {
    if text.is_empty() || text.contains(char::is_whitespace) {
        return;
    }
    let marks = [("L@", TargetKind::List), ("E@", TargetKind::Pcre), ("G@", TargetKind::Grain)];
    for (mark, kind) in marks {
        let within = minions.meant(TargetKind::Compound, &format!("{mark}{text}"));
        assert_eq!(within, minions.meant(kind, text), "{kind:?}");
    }
    if !text.contains(['@', '(', ')']) && !["and", "or", "not"].contains(&text) {
        assert_eq!(minions.meant(TargetKind::Compound, text), minions.meant(TargetKind::Glob, text));
    }
}

/// In parentheses it can be joined with others.
fn check_joined(minions: &Minions<'_>, text: &str) {
    let Some(meant) = minions.meant(TargetKind::Compound, text) else { return };
    let one = BTreeSet::from(["node-1".to_owned()]);
    for (joined, expect) in [
        (format!("not ( {text} )"), &minions.all() - &meant),
        (format!("( {text} ) and node-1"), &meant & &one),
        (format!("node-1 or ( {text} )"), &meant | &one),
    ] {
        match minions.meant(TargetKind::Compound, &joined) {
            Some(found) => assert_eq!(found, expect, "{joined:?}"),
            None => assert!(text.matches('(').count() >= DEPTH, "{joined:?}"),
        }
    }
}
