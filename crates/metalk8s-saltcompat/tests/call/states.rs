//! States that people write, and formulas of the program.

use std::error::Error;

use metalk8s_engine::fake::FakeHost;
use metalk8s_saltcompat::{CallError, FORMULAS, Returned};
use metalk8s_types::{VERSION, environment};
use serde_json::json;

use crate::fake::{Fake, fake};

#[test]
fn states_are_applied_and_a_second_time_nothing_changes() {
    let fake = fake();
    assert!(fake.prints(&["state.apply", "web"]).contains("Succeeded: 1 (changed=1)\n"));
    assert!(fake.prints(&["state.sls", "mods=web"]).contains("Succeeded: 1\n"));
    assert_eq!(fake.host.world().text("/etc/motd"), Some("hello\n"));
}

#[test]
fn test_mode_changes_nothing_and_only_truth_values_ask_for_it() {
    let fake = fake();
    let before = fake.host.world();
    assert!(fake.prints(&["state.apply", "web", "test=True"]).contains("      Result: None\n"));
    let single = ["state.single", "file.managed", "/etc/x", "contents=x", "test=true"];
    assert!(fake.prints(&single).contains("      Result: None\n"));
    assert!(fake.prints(&["state.test", "web"]).contains("      Result: None\n"));
    assert_eq!(fake.refuses(&["state.apply", "web", "test=ture"]), "`test=ture` is neither True nor False");
    assert_eq!(fake.host.world(), before);
}

#[test]
fn the_status_is_2_when_a_state_failed() {
    let fake = fake();
    assert_eq!(fake.call(&["state.apply", "web,db"]).unwrap().retcode(), 2);
    assert_eq!(fake.call(&["state.apply", "web"]).unwrap().retcode(), 0);
    assert_eq!(fake.call(&["test.ping"]).unwrap().retcode(), 0);
}

#[test]
fn a_file_is_shown_without_being_applied() {
    let fake = fake();
    let before = fake.host.world();
    assert_eq!(
        fake.value(&["state.show_sls", "web"]),
        json!({"/etc/motd": {
            "__sls__": "web",
            "__env__": "base",
            "file": [{"contents": "hello"}, "managed", {"order": 10_000}],
        }})
    );
    assert_eq!(fake.host.world(), before);
}

#[test]
fn mistakes_in_states_are_told_with_their_codes_and_change_nothing() {
    let fake = fake();
    for line in [
        &["state.apply", "nonesuch"][..],
        &["state.apply", "web", "saltenv=metalk8s-2.5.1"],
        &["state.single", "file.mangled", "/x"],
    ] {
        let Err(CallError::Mistakes { source, .. }) = fake.call(line) else { panic!("{line:?}") };
        assert!(source.problems[0].code.as_str().starts_with("MK18"), "{line:?}");
    }
    assert_eq!(fake.host.world(), FakeHost::default().world());
}

const ARCHIVES: &str = "metalk8s.archives.mounted";

#[test]
fn a_formula_of_the_program_is_applied_by_its_name() {
    let fake = fake();
    let saltenv = format!("saltenv={}", environment(VERSION));
    let printed = fake.prints(&["state.sls", ARCHIVES, &saltenv]);
    assert!(printed.contains("          ID: archive mounted\n    Function: mount.mounted\n"), "{printed}");
    assert!(printed.contains("Summary for local\n------------\nSucceeded: 1 (changed=1)\nFailed:    0\n"));
    let again = fake.prints(&["state.apply", ARCHIVES]);
    assert!(again.contains("Comment: Target was already mounted\n"), "{again}");
    assert!(again.contains("Succeeded: 1\n"), "{again}");
}

#[test]
fn a_formula_has_the_machine_for_itself_and_waits_for_it_where_it_is_told_to() {
    let fake = fake();
    for words in [&["queue=True"][..], &["queue=False"], &[], &["test=True", "queue=True"]] {
        fake.call(&[&["state.apply", ARCHIVES], words].concat()).unwrap();
    }
    assert_eq!(*fake.claims.lock().unwrap(), [true, false, false], "looking needs nothing");
    let refused = fake.refuses(&["state.apply", ARCHIVES, "queue=soon"]);
    assert!(refused.contains("`queue=soon` is neither True nor False"), "{refused}");
}

#[test]
fn a_formula_is_shown_as_if_it_were_a_file() {
    assert_eq!(
        fake().value(&["state.show_sls", ARCHIVES]),
        json!({"archive mounted": {
            "__sls__": ARCHIVES,
            "__env__": environment(VERSION),
            "mount": ["mounted"],
        }})
    );
}

/// What a call that did nothing says, with its causes.
#[track_caller]
fn mistakes(fake: &Fake, line: &[&str]) -> String {
    let before = fake.host.world();
    let CallError::Mistakes { source, .. } = fake.call(line).unwrap_err() else { panic!("{line:?}") };
    assert_eq!(fake.host.world(), before);
    let hints = source.hints.iter().map(|hint| hint.0.clone());
    let problems = source.problems.iter();
    let told = problems.map(|problem| format!("{problem} {}", problem.accepted.clone().unwrap_or_default()));
    told.chain(hints).collect::<Vec<_>>().join("\n")
}

#[test]
fn another_versions_formulas_are_left_to_its_own_program() {
    let fake = fake();
    let told = mistakes(&fake, &["state.sls", ARCHIVES, "saltenv=metalk8s-0.0.1"]);
    assert!(told.contains("installed: `metalk8s-0.0.1`, `metalk8s-"), "{told}");
    assert!(told.contains("`/srv/scality/metalk8s-0.0.1/bin/metalk8s salt-call ...`"), "{told}");
    let told = mistakes(&fake, &["state.sls", ARCHIVES, "saltenv=metalk8s-9.9.9"]);
    assert!(told.contains("`salt NODE state.sls ... saltenv=metalk8s-9.9.9`"), "{told}");
    assert!(!told.contains("/bin/metalk8s"), "{told}");
    let told = mistakes(&fake, &["state.sls", ARCHIVES, "saltenv=base"]);
    assert!(told.contains("not of `base`") && !told.contains("/bin/metalk8s"), "{told}");
}

#[test]
fn an_unknown_formula_gets_its_neighbours_and_is_not_looked_for_among_files() {
    let mut fake = fake();
    fake.roots.insert("metalk8s/own.sls".to_owned(), b"a: {file.absent: [{name: /a}]}\n".to_vec());
    let told = mistakes(&fake, &["state.sls", "metalk8s.archive.mounted"]);
    assert!(told.contains("MK1801") && told.contains(&format!(" `{ARCHIVES}`,")), "{told}");
    assert!(mistakes(&fake, &["state.sls", "metalk8s.own"]).contains("no formula `metalk8s.own`"));
    let told = mistakes(&fake, &["state.sls", &format!("web,{ARCHIVES}")]);
    assert!(told.contains("`web` is a file"), "{told}");
}

#[test]
fn without_a_name_the_roles_of_the_machine_are_applied() {
    for line in [&["state.apply"][..], &["state.highstate"], &["state.apply", ""]] {
        let fake = fake();
        let Returned::States(states) = fake.call(line).unwrap() else { panic!("{line:?}") };
        let state = states.values().next().unwrap();
        assert_eq!((states.len(), &state["__sls__"]), (1, &json!("metalk8s.roles")), "{line:?}");
        assert_eq!(fake.host.world().files.len(), 1, "{line:?}");
    }
}

#[test]
fn a_given_pillar_counts_for_its_call_and_for_no_other() {
    let fake = fake();
    let given = r#"pillar={"networks": {"pod": "10.234.0.0/16"}}"#;
    let shown = |words: &[&str]| -> Vec<String> {
        let shown = fake.value(&[&["state.show_sls", "metalk8s.roles"], words].concat());
        shown.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(shown(&[given]), ["pods are in 10.234.0.0/16"]);
    assert_eq!(shown(&[]), ["pods are in 10.233.0.0/16"]);
    let before = fake.host.world();
    assert!(fake.prints(&["state.highstate", "test=True", given]).contains("pods are in 10.234.0.0/16"));
    assert_eq!(fake.host.world(), before);
    fake.call(&["state.sls", "metalk8s.roles", given]).unwrap();
    assert_eq!(fake.host.world().text("/etc/pods"), Some("10.234.0.0/16\n"));
    fake.call(&["state.highstate"]).unwrap();
    assert_eq!(fake.host.world().text("/etc/pods"), Some("10.233.0.0/16\n"));
}

#[test]
fn a_given_pillar_is_shown_with_all_others() {
    let fake = fake();
    let tree = fake.value(&["pillar.items", "pillar={proxies: {https: 'http://b:1'}, extra: [1]}"]);
    assert_eq!(tree["proxies"], json!({"http": "http://proxy.example:3128", "https": "http://b:1"}));
    assert_eq!((&tree["extra"], &tree["networks"]["pod"]), (&json!([1]), &json!("10.233.0.0/16")));
    assert_eq!(fake.value(&["pillar.get", "extra"]), json!(""));
}

#[test]
fn a_pillar_that_is_no_mapping_is_refused_without_being_repeated() {
    let fake = fake();
    for line in [
        &["state.apply", "web"][..],
        &["state.sls", ARCHIVES],
        &["state.highstate", "test=True"],
        &["state.show_sls", "web"],
        &["state.test", "web"],
        &["state.single", "file.absent", "/x"],
        &["pillar.items"],
    ] {
        for given in ["pillar=secret", "pillar=[secret]", "pillar={secret: ", "pillar=5"] {
            let told = fake.refuses(&[line, &[given]].concat());
            assert!(told.contains("must be a mapping") && !told.contains("secret"), "{line:?}: {told}");
        }
        fake.call(&[line, &["pillar={}"]].concat()).unwrap();
        fake.call(&[line, &["pillar=None"]].concat()).unwrap();
    }
}

#[test]
fn a_bad_value_of_a_given_pillar_is_told_with_its_key_and_changes_nothing() {
    let fake = fake();
    let before = fake.host.world();
    let err = fake.call(&["state.highstate", "pillar={networks: {pod: 10.234.0.1/16}, proxies: {ftp: x}}"]);
    let told = err.unwrap_err().source().unwrap().to_string();
    assert!(told.contains("`networks.pod`: ") && told.contains("`proxies.ftp`: "), "{told}");
    assert_eq!(fake.host.world(), before);
}

#[test]
fn what_several_formulas_have_in_common_is_applied_once() {
    let fake = fake();
    let Returned::States(states) =
        fake.call(&["state.apply", "metalk8s.roles.master,metalk8s.roles.etcd"]).unwrap()
    else {
        panic!("no states")
    };
    let sls: Vec<&serde_json::Value> = states.values().map(|state| &state["__sls__"]).collect();
    assert_eq!(sls, [&json!("metalk8s.roles.master")]);
}

#[test]
fn a_formula_without_settings_says_why() {
    let bare = Fake { configuration: None, ..fake() };
    let err = bare.call(&["state.sls", ARCHIVES]).unwrap_err();
    assert!(matches!(&err, CallError::Formula { name, .. } if *name == ARCHIVES), "{err}");
    assert_eq!(err.source().unwrap().to_string(), "there is no configuration");
    assert!(FORMULAS.iter().all(|(name, _)| name.starts_with("metalk8s.")));
}

#[test]
fn calls_can_be_tried() {
    let fake = fake();
    assert_eq!(
        fake.value(&["test.arg", "1", "two", "txt=hello", "wow={a: 1}"]),
        json!({"args": [1, "two"], "kwargs": {"txt": "hello", "wow": {"a": 1}}})
    );
    assert_eq!(fake.value(&["test.kwarg", "num=1"]), json!({"num": 1}));
    assert_eq!(fake.value(&["test.true"]), json!(true));
    assert_eq!(fake.value(&["test.false"]), json!(false));
    for (number, expect) in [("0", 0_u64), ("1", 1), ("2", 1), ("10", 55), ("93", 12_200_160_415_121_876_738)]
    {
        assert_eq!(fake.value(&["test.fib", number])[0], json!(expect), "{number}");
    }
    assert_eq!(fake.value(&["test.sleep", "86400"]), json!(true));
    let ended = |retcode| Returned::Ended { value: json!(true), retcode };
    assert_eq!(fake.call(&["test.retcode"]).unwrap(), ended(42));
    assert_eq!(fake.call(&["test.retcode", "7"]).unwrap(), ended(7));
    for line in [
        &["test.kwarg", "x"][..],
        &["test.true", "x"],
        &["test.fib"],
        &["test.fib", "94"],
        &["test.fib", "-1"],
        &["test.sleep", "86401"],
        &["test.sleep", "long"],
        &["test.retcode", "256"],
    ] {
        fake.refuses(line);
    }
}
