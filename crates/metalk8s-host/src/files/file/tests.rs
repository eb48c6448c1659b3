use std::os::unix::fs::symlink;

use metalk8s_engine::{Hands, State};

use super::*;
use crate::testing::{Lab, chain, mode};

fn text(path: &str, text: &str) -> State {
    State::File(File::text(path, text))
}

fn with_secret() -> State {
    State::File(File {
        contents: Contents::WithSecrets {
            text: "password: @P@\n".to_owned(),
            secrets: vec![("@P@".to_owned(), "/etc/secret".into())],
        },
        ..File::text("/etc/conf", "").mode(0o600)
    })
}

#[tokio::test]
async fn a_file_is_made_changed_and_given_another_mode() {
    let lab = Lab::new();
    assert_eq!(lab.settles(&text("/etc/a/b.conf", "one\n")).await.kind, ChangeKind::Create);
    let change = lab.settles(&text("/etc/a/b.conf", "two\n")).await;
    assert_eq!((change.before.as_deref(), change.after.as_deref()), (Some("one\n"), Some("two\n")));
    let change = lab.settles(&State::File(File::text("/etc/a/b.conf", "two\n").mode(0o600))).await;
    assert_eq!(change.summary, "change /etc/a/b.conf: mode 0644 to 0600");
    assert_eq!(mode(&lab.path("/etc/a/b.conf")), 0o600);
    assert_eq!(lab.names("/etc/a"), ["b.conf"]);
}

#[tokio::test]
async fn a_file_whose_mode_is_not_wished_for_keeps_it() {
    let lab = Lab::new();
    let wish = |text: &str| State::File(File { mode: None, ..File::text("/etc/x", text) });
    lab.settles(&wish("new\n")).await;
    assert_eq!(mode(&lab.path("/etc/x")), 0o644);
    lab.settles(&State::File(File::text("/etc/x", "new\n").mode(0o600))).await;
    assert_eq!(lab.check(&wish("new\n")).await.unwrap(), None);
    lab.settles(&wish("other\n")).await;
    assert_eq!(mode(&lab.path("/etc/x")), 0o600);
}

#[tokio::test]
async fn contents_of_the_same_length_are_told_apart() {
    let lab = Lab::new();
    lab.file("/etc/x", "aaaa");
    lab.settles(&text("/etc/x", "aaab")).await;
}

#[tokio::test]
async fn secrets_are_written_but_never_shown() {
    let lab = Lab::new();
    let wish = with_secret();
    assert!(lab.check(&wish).await.unwrap().is_some(), "a secret still to come is a change");
    let err = lab.host.apply(&wish, &Change::new(ChangeKind::Create, "")).await.unwrap_err();
    assert_eq!(err.to_string(), "`/etc/conf` needs `/etc/secret`, which does not exist");

    lab.file("/etc/secret", " hidden \n");
    let change = lab.settles(&wish).await;
    assert_eq!(lab.text("/etc/conf"), "password: hidden\n");
    assert!(!format!("{change:?}").contains("hidden"), "{change:?}");
    assert_eq!(mode(&lab.path("/etc/conf")), 0o600);
}

#[tokio::test]
async fn what_a_closed_file_held_is_not_shown() {
    let lab = Lab::new();
    lab.file("/etc/secret", "hidden");
    lab.settles(&with_secret()).await;
    let change = lab.settles(&text("/etc/conf", "open\n")).await;
    assert_eq!(change.before, None);
}

#[tokio::test]
async fn what_a_closed_file_will_hold_is_not_shown() {
    let lab = Lab::new();
    let closed = |text: &str| State::File(File::text("/etc/closed", text).mode(0o600));
    for words in ["hidden", "hidden too"] {
        let change = lab.settles(&closed(words)).await;
        assert!(!format!("{change:?}").contains("hidden"), "{change:?}");
    }
    // It keeps the mode that it has.
    let kept = State::File(File { mode: None, ..File::text("/etc/closed", "hidden as well") });
    let change = lab.settles(&kept).await;
    assert!(!format!("{change:?}").contains("hidden"), "{change:?}");
    let open = lab.settles(&State::File(File::text("/etc/open", "open\n").mode(0o644))).await;
    assert_eq!(open.after.as_deref(), Some("open\n"));
}

#[tokio::test]
async fn hidden_texts_are_told_apart_by_who_has_the_key() {
    let mut lab = Lab::new();
    lab.host = lab.host.with_fingerprints("/etc/plans.key");
    let fingerprint = async |lab: &Lab, wish: &State| lab.check(wish).await.unwrap().unwrap().fingerprint;
    let closed = |text: &str| State::File(File::text("/etc/closed", text).mode(0o600));
    assert_eq!(fingerprint(&lab, &closed("one")).await, None, "there is no key yet");

    lab.file("/etc/plans.key", "a key\n");
    let new = fingerprint(&lab, &closed("one")).await;
    assert_eq!(new.as_ref().unwrap().len(), 64);
    assert_eq!(new, fingerprint(&lab, &closed("one")).await);
    assert_ne!(new, fingerprint(&lab, &closed("two")).await);
    assert_eq!(fingerprint(&lab, &text("/etc/open", "one")).await, None, "it is shown");

    lab.file("/etc/closed", "before");
    let one = fingerprint(&lab, &closed("one")).await;
    assert_ne!(new, one);
    lab.file("/etc/closed", "moved!");
    assert_ne!(one, fingerprint(&lab, &closed("one")).await, "the world has moved");
    lab.file("/etc/closed", "before");
    assert_eq!(one, fingerprint(&lab, &closed("one")).await);
    lab.file("/etc/plans.key", "another key\n");
    assert_ne!(one, fingerprint(&lab, &closed("one")).await);
}

#[tokio::test]
async fn secrets_and_long_texts_have_fingerprints() {
    let mut lab = Lab::new();
    lab.host = lab.host.with_fingerprints("/etc/plans.key");
    lab.file("/etc/plans.key", "a key\n");
    assert_eq!(
        lab.check(&with_secret()).await.unwrap().unwrap().fingerprint,
        None,
        "its secret is not there yet"
    );
    let mut found = Vec::new();
    for secret in ["hidden", "hidden too"] {
        lab.file("/etc/secret", secret);
        found.push(lab.check(&with_secret()).await.unwrap().unwrap().fingerprint.unwrap());
    }
    let long = "x".repeat(usize::try_from(MOST_SHOWN).unwrap() + 1);
    for long in [&long, &long.replace('x', "y")] {
        found.push(lab.check(&text("/etc/long", long)).await.unwrap().unwrap().fingerprint.unwrap());
    }
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 4);
}

#[tokio::test]
async fn a_copy_follows_its_source() {
    let lab = Lab::new();
    let wish = State::File(File {
        contents: Contents::CopyOf("/srv/program".into()),
        ..File::text("/usr/bin/program", "").mode(0o755)
    });
    assert!(lab.check(&wish).await.unwrap().is_some(), "a source still to come is a change");
    let long = "x".repeat(usize::try_from(LONG_WORK).unwrap() + 1);
    for source in ["one", "two", &long, &long.replace('x', "y")] {
        lab.file("/srv/program", source);
        lab.settles(&wish).await;
        assert_eq!(lab.text("/usr/bin/program"), source);
    }
}

#[tokio::test]
async fn what_a_program_writes_into_a_kept_file_stays_and_its_owner_is_mended() {
    let lab = Lab::new();
    lab.file("/etc/passwd", "one:x:71:71::/:/bin/sh\n");
    let log = |user: &str| {
        let user = Some(user.to_owned());
        let log = File::text("/var/log/audit.log", "").mode(0o600);
        State::File(File { contents: Contents::Kept, user, ..log })
    };
    lab.settles(&log("root")).await;
    assert_eq!(lab.text("/var/log/audit.log"), "");
    lab.file("/var/log/audit.log", "who did what\n");
    assert_eq!(lab.check(&log("root")).await.unwrap(), None);
    let change = lab.settles(&log("one")).await;
    assert_eq!(change.summary, "change /var/log/audit.log: owner 0 to one");
    assert_eq!(lab.text("/var/log/audit.log"), "who did what\n");
    assert_eq!(fs::metadata(lab.path("/var/log/audit.log")).unwrap().uid(), 71);
}

#[tokio::test]
async fn a_refused_file_does_not_replace_the_old_one() {
    let lab = Lab::new();
    lab.file("/etc/x", "good\n");
    lab.program("checker", "grep -q good \"$1\" || { echo 'line 1: bad' >&2; exit 1; }");
    let wish = |text: &str| {
        let validate = Some(vec!["checker".to_owned(), "{}".to_owned()]);
        State::File(File { validate, ..File::text("/etc/x", text) })
    };
    lab.settles(&wish("good too\n")).await;
    let err = lab.host.apply(&wish("evil\n"), &Change::new(ChangeKind::Update, "")).await.unwrap_err();
    assert!(chain(&err).contains("line 1: bad"), "{}", chain(&err));
    assert_eq!(lab.text("/etc/x"), "good too\n");
    assert_eq!(lab.names("/etc"), ["x"]);
}

#[tokio::test]
async fn a_link_in_its_place_is_replaced_not_followed() {
    let lab = Lab::new();
    lab.file("/etc/aim", "aim");
    symlink(lab.path("/etc/aim"), lab.path("/etc/x")).unwrap();
    lab.settles(&text("/etc/x", "own")).await;
    assert_eq!((lab.text("/etc/aim"), lab.text("/etc/x")), ("aim".to_owned(), "own".to_owned()));
}

#[tokio::test]
async fn a_directory_in_its_place_is_an_error_that_names_it() {
    let lab = Lab::new();
    lab.file("/etc/x/y", "");
    assert_eq!(
        lab.check(&text("/etc/x", "")).await.unwrap_err().to_string(),
        "`/etc/x` is a directory, not a file"
    );
}

#[tokio::test]
async fn an_owner_who_does_not_exist_yet_is_a_change_and_then_an_error() {
    let lab = Lab::new();
    lab.file("/etc/x", "");
    let wish = State::File(File { user: Some("etcd".to_owned()), ..File::text("/etc/x", "") });
    let change = lab.check(&wish).await.unwrap().unwrap();
    assert_eq!(lab.host.apply(&wish, &change).await.unwrap_err().to_string(), "there is no user `etcd`");
}
