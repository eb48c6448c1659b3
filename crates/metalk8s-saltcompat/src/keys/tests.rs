use std::collections::BTreeMap;

use metalk8s_diagnostics::Paint;

use super::{
    KeyAction, KeyChange, KeyStatus, Keys, Listed, changed, list, no_match, question, told, touched,
};
use crate::output::Form;

const ACCEPT: KeyChange = KeyChange::Accept { rejected: false, denied: false };
const REJECT: KeyChange = KeyChange::Reject { accepted: false, denied: false };

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn keys() -> Keys {
    Keys {
        accepted: names(&["node-1", "bootstrap"]),
        denied: names(&["node-1"]),
        unaccepted: names(&["node-3", "node-2"]),
        rejected: names(&["node-4"]),
    }
}

fn form(out: &str) -> Form {
    Form { out: out.parse().unwrap(), ..Form::default() }
}

#[test]
fn keys_are_listed_as_salt_lists_them() {
    assert_eq!(
        list(&keys(), Listed::All, &Form::default()).unwrap(),
        "Accepted Keys:\nbootstrap\nnode-1\nDenied Keys:\nnode-1\nUnaccepted Keys:\nnode-2\nnode-3\nRejected \
         Keys:\nnode-4\n"
    );
    assert_eq!(
        list(&Keys::default(), Listed::All, &Form::default()).unwrap(),
        "Accepted Keys:\nDenied Keys:\nUnaccepted Keys:\nRejected Keys:\n"
    );
    let only = Listed::Only(KeyStatus::Rejected);
    assert_eq!(list(&keys(), only, &Form::default()).unwrap(), "Rejected Keys:\nnode-4\n");
    assert_eq!(list(&keys(), only, &form("yaml")).unwrap(), "minions_rejected:\n- node-4\n");
    assert_eq!(
        list(&keys(), Listed::All, &form("raw")).unwrap(),
        "{'minions': ['bootstrap', 'node-1'], 'minions_denied': ['node-1'], 'minions_pre': ['node-2', \
         'node-3'], 'minions_rejected': ['node-4']}\n"
    );
}

#[test]
fn names_cannot_command_the_terminal() {
    let keys = Keys { unaccepted: names(&["a\u{1b}[2Jb"]), ..Keys::default() };
    let form = Form { paint: Paint::new(true), ..Form::default() };
    assert_eq!(
        touched(&keys, &form).unwrap(),
        "\u{1b}[31mUnaccepted Keys:\u{1b}[0m\n\u{1b}[31ma?[2Jb\u{1b}[0m\n"
    );
    assert_eq!(changed(ACCEPT, &keys), "Key for minion a?[2Jb accepted.\n");
}

#[test]
fn lists_are_named_by_their_beginning() {
    for (word, expect) in [
        ("acc", Listed::Only(KeyStatus::Accepted)),
        ("accepted", Listed::Only(KeyStatus::Accepted)),
        ("pre", Listed::Only(KeyStatus::Unaccepted)),
        ("unaccepted", Listed::Only(KeyStatus::Unaccepted)),
        ("rej", Listed::Only(KeyStatus::Rejected)),
        ("den", Listed::Only(KeyStatus::Denied)),
        ("all", Listed::All),
    ] {
        assert_eq!(word.parse(), Ok(expect), "{word}");
    }
    assert!("x".parse::<Listed>().unwrap_err().contains("`denied`"));
    assert_eq!(KeyAction::default(), KeyAction::List(Listed::All));
}

#[test]
fn only_keys_that_wait_are_accepted_or_rejected_unless_more_is_asked() {
    let waiting = Keys { unaccepted: names(&["node-2", "node-3"]), ..Keys::default() };
    assert_eq!(ACCEPT.touches(&keys(), "*"), waiting);
    assert_eq!(REJECT.touches(&keys(), "*"), waiting);
    assert_eq!(
        KeyChange::Accept { rejected: true, denied: true }.touches(&keys(), "*"),
        Keys { denied: names(&["node-1"]), rejected: names(&["node-4"]), ..waiting.clone() }
    );
    assert_eq!(
        KeyChange::Reject { accepted: true, denied: false }.touches(&keys(), "node-[12]"),
        Keys { accepted: names(&["node-1"]), unaccepted: names(&["node-2"]), ..Keys::default() }
    );
}

#[test]
fn deletion_touches_every_key_of_the_name() {
    assert_eq!(
        KeyChange::Delete.touches(&keys(), "node-1,node-4"),
        Keys {
            accepted: names(&["node-1"]),
            denied: names(&["node-1"]),
            rejected: names(&["node-4"]),
            ..Keys::default()
        }
    );
    assert!(KeyChange::Delete.touches(&keys(), "node").is_empty());
}

#[test]
fn changes_are_asked_for_and_told_in_salts_words() {
    assert_eq!(
        question(KeyChange::Delete),
        ("The following keys are going to be deleted:\n".into(), "Proceed? [N/y] ")
    );
    assert_eq!(question(REJECT).0, "The following keys are going to be rejected:\n");
    assert_eq!(
        question(ACCEPT),
        ("The following keys are going to be accepted:\n".into(), "Proceed? [n/Y] ")
    );
    let touched = KeyChange::Delete.touches(&keys(), "node-4");
    assert_eq!(changed(KeyChange::Delete, &touched), "Key for minion node-4 deleted.\n");
}

#[test]
fn only_deletion_needs_a_yes() {
    assert!(ACCEPT.is_confirmed("\n") && REJECT.is_confirmed(""));
    assert!(!KeyChange::Delete.is_confirmed("\n"));
    for change in [ACCEPT, REJECT, KeyChange::Delete] {
        assert!(change.is_confirmed("Yes\n"));
        assert!(!change.is_confirmed("n") && !change.is_confirmed("maybe"));
    }
}

#[test]
fn a_pattern_that_fits_nothing_is_told() {
    assert_eq!(
        no_match(KeyChange::Delete, "x"),
        "The key glob 'x' does not match any accepted, unaccepted or rejected keys.\n"
    );
    assert_eq!(no_match(ACCEPT, "x"), "The key glob 'x' does not match any unaccepted keys.\n");
    assert_eq!(
        no_match(KeyChange::Reject { accepted: true, denied: true }, "x"),
        "The key glob 'x' does not match any unaccepted, accepted or denied keys.\n"
    );
}

#[test]
fn fingerprints_stand_beside_the_names() {
    let texts = BTreeMap::from([("bootstrap".to_owned(), "aa:bb".to_owned())]);
    let picked = keys().matching("boot*,node-4");
    assert_eq!(told(&picked, &texts, &Form::default()).unwrap(), "Accepted Keys:\nbootstrap:  aa:bb\n");
    assert_eq!(told(&picked, &texts, &form("raw")).unwrap(), "{'minions': {'bootstrap': 'aa:bb'}}\n");
}
