//! What a Salt user reads, compared with what `salt-call` of Salt 3008.3 printed for the same states.

use std::{collections::BTreeMap, sync::Arc};

use jiff::tz::TimeZone;
use metalk8s_engine::{
    ApplyOptions, Change, ChangeKind, Outcome, Report, StepReport, apply,
    fake::{FakeClock, FakeHost},
    state::User,
};
use serde_json::{Map, Value, json};

use super::state_return;
use crate::{Compiled, compile};

fn compiled(sls: &str) -> Compiled {
    let roots = BTreeMap::from([("web.sls".to_owned(), sls.as_bytes().to_vec())]);
    compile(&["web".to_owned()], &roots).unwrap_or_else(|err| panic!("{:#?}", err.problems))
}

/// A report on the first state.
fn reported(compiled: &Compiled, outcome: Outcome, changes: Vec<Change>, causes: &[&str]) -> Report {
    let step = &compiled.graph.steps()[0];
    Report::new(vec![StepReport {
        id: step.id.clone(),
        what: step.state.label(),
        result: Some(outcome != Outcome::Failed),
        outcome,
        comment: "the engine's own words".to_owned(),
        changes,
        causes: causes.iter().map(|cause| (*cause).to_owned()).collect(),
        started: jiff::Timestamp::UNIX_EPOCH,
        duration_ms: 0.0,
        run_number: 0,
    }])
}

/// The comment and the changes of the only state, when this is what the host told.
fn told(sls: &str, outcome: Outcome, change: Option<Change>) -> (Value, Value) {
    let compiled = compiled(sls);
    let report = reported(&compiled, outcome, change.into_iter().collect(), &[]);
    let mut returned = state_return(&report, &compiled, &TimeZone::UTC);
    let entry = returned.values_mut().next().unwrap();
    (entry["comment"].take(), entry["changes"].take())
}

fn change(kind: ChangeKind, summary: &str) -> Option<Change> {
    Some(Change::new(kind, summary))
}

/// The entry of the only state, when nothing but this was told.
fn returned_as(compiled: &Compiled, outcome: Outcome) -> Value {
    let report = reported(compiled, outcome, Vec::new(), &[]);
    state_return(&report, compiled, &TimeZone::UTC).into_values().next().unwrap()
}

/// Comments by id.
fn comments(sls: &str) -> BTreeMap<String, String> {
    let returned = returned(sls);
    let entries = returned.values().map(|entry| {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        (text("__id__"), text("comment"))
    });
    entries.collect()
}

/// Applies states to a fake host.
fn returned(sls: &str) -> Map<String, Value> {
    let host = FakeHost::default();
    host.change_world(|world| world.write("/etc/same", "same\n"));
    applied(&compiled(sls), &host)
}

fn applied(compiled: &Compiled, host: &FakeHost) -> Map<String, Value> {
    let options = ApplyOptions { clock: Arc::new(FakeClock::default()), ..ApplyOptions::in_order() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = runtime.block_on(apply(&compiled.graph, host, &(), &options)).unwrap();
    state_return(&report, compiled, &TimeZone::UTC)
}

const FILE: &str = "/etc/motd: {file.managed: [{contents: hello}]}";

#[test]
fn a_file_is_told_as_new_updated_or_with_the_attributes_that_changed() {
    let new = || change(ChangeKind::Create, "create /etc/motd");
    let updated = json!("File /etc/motd updated");
    assert_eq!(told(FILE, Outcome::Changed, new()), (updated.clone(), json!({"diff": "New file"})));
    let would = "The file /etc/motd is set to be changed\nNote: No changes made, actual changes may\nbe different due to other states.";
    assert_eq!(told(FILE, Outcome::WouldChange, new()), (json!(would), json!({"newfile": "/etc/motd"})));
    let attributes = change(ChangeKind::Update, "change /etc/motd: mode 0644 to 0600, owner 0 to nobody");
    assert_eq!(
        told(FILE, Outcome::Changed, attributes),
        (updated.clone(), json!({"mode": "0600", "user": "nobody"}))
    );
    let hidden = change(ChangeKind::Update, "write /etc/motd");
    assert_eq!(told(FILE, Outcome::Changed, hidden), (updated, json!({"changed": "write /etc/motd"})));
}

#[test]
fn a_directory_is_told_under_its_path() {
    let sls = "/srv/a: {file.directory: [{mode: 0700}]}";
    let new = || change(ChangeKind::Create, "create directory /srv/a");
    let as_new = json!({"/srv/a": {"directory": "new"}});
    assert_eq!(told(sls, Outcome::Changed, new()), (json!(""), as_new.clone()));
    let would = json!("The following files will be changed:\n/srv/a: directory - new\n");
    assert_eq!(told(sls, Outcome::WouldChange, new()), (would, as_new));
    let mode = || change(ChangeKind::Update, "change /srv/a: mode 0755 to 0700");
    assert_eq!(
        told(sls, Outcome::Changed, mode()),
        (json!("Directory /srv/a updated"), json!({"/srv/a": {"mode": "0700"}, "mode": "0700"}))
    );
    assert_eq!(
        told(sls, Outcome::WouldChange, mode()),
        (
            json!("The following files will be changed:\n/srv/a: mode - 0700\n"),
            json!({"/srv/a": {"mode": "0700"}})
        )
    );
}

#[test]
fn a_link_and_what_is_absent_are_told_by_their_path() {
    let link = "/srv/l: {file.symlink: [{target: same}]}";
    let new = || change(ChangeKind::Create, "link /srv/l to same");
    assert_eq!(
        told(link, Outcome::Changed, new()),
        (json!("Created new symlink /srv/l -> same"), json!({"new": "/srv/l"}))
    );
    assert_eq!(
        told(link, Outcome::WouldChange, new()),
        (json!("Symlink /srv/l to same is set for creation"), json!({"new": "/srv/l"}))
    );
    assert_eq!(
        told(link, Outcome::WouldChange, change(ChangeKind::Update, "link /srv/l to same")),
        (json!("Link /srv/l target is set to be changed to same"), json!({"change": "/srv/l"}))
    );
    let absent = "/srv/g: {file.absent: []}";
    assert_eq!(
        told(absent, Outcome::Changed, change(ChangeKind::Remove, "remove /srv/g")),
        (json!("Removed /srv/g"), json!({"removed": "/srv/g"}))
    );
}

#[test]
fn a_command_is_told_by_its_name() {
    let run = || change(ChangeKind::Run, "run /bin/sh -c echo hi");
    let sls = "greet: {cmd.run: [{name: echo hi}]}";
    assert_eq!(told(sls, Outcome::Changed, run()), (json!("Command \"echo hi\" run"), json!({"retcode": 0})));
    assert_eq!(
        told(sls, Outcome::WouldChange, run()),
        (json!("Command \"echo hi\" would have been executed"), json!({"cmd": "echo hi"}))
    );
}

#[test]
fn a_command_tells_which_condition_kept_it_from_running() {
    for (condition, comment) in [
        ("{unless: 'true'}", "unless condition is true"),
        ("{onlyif: 'false'}", "onlyif condition is false"),
        ("{creates: /etc/passwd}", "/etc/passwd exists"),
    ] {
        for function in ["cmd.run", "user.present"] {
            let (compiled, host) =
                (compiled(&format!("x: {{{function}: [{condition}]}}")), FakeHost::default());
            host.change_world(|world| {
                world.failing.insert(["/bin/sh", "-c", "false"].map(str::to_owned).to_vec());
            });
            let entry = applied(&compiled, &host).into_values().next().unwrap();
            assert_eq!((&entry["comment"], &entry["changes"]), (&json!(comment), &json!({})));
            assert_eq!((&entry["result"], &entry["skip_watch"]), (&json!(true), &json!(true)));
            assert_eq!(entry.get("__state_ran__"), None);
        }
    }
    assert_eq!(returned_as(&compiled(FILE), Outcome::Unchanged).get("skip_watch"), None);
    assert_eq!(told("x: {cmd.wait: []}", Outcome::Unchanged, None).0, json!(""));
}

#[test]
fn what_requisites_did_not_ask_for_was_not_run() {
    let sls = "same: {file.managed: [{name: /etc/same}, {contents: same}]}\n\
               idle: {cmd.run: [{onchanges: [{file: same}]}]}\n\
               calm: {cmd.run: [{onfail: [{file: same}]}]}\n\
               before: {cmd.run: [{prereq: [{file: same}]}]}\n";
    let comments = comments(sls);
    assert_eq!(comments["same"], "File /etc/same is in the correct state");
    assert_eq!(comments["idle"], "State was not run because none of the onchanges reqs changed");
    assert_eq!(comments["calm"], "State was not run because onfail req did not change");
    assert_eq!(comments["before"], "No changes detected");
    for (key, entry) in returned(sls) {
        let ran = entry.get("__state_ran__");
        assert_eq!(ran, (!key.contains("same")).then_some(&json!(false)), "{key}");
    }
}

#[test]
fn a_failed_command_says_its_name_and_then_why() {
    let compiled = compiled("x: {cmd.run: [{name: exit 3}]}");
    let report = reported(&compiled, Outcome::Failed, Vec::new(), &["it ended with exit status 3"]);
    let returned = state_return(&report, &compiled, &TimeZone::UTC);
    let entry = returned.values().next().unwrap();
    assert_eq!(entry["comment"], "Command \"exit 3\" run\nit ended with exit status 3");
}

#[test]
fn a_state_of_the_command_line_belongs_to_no_file() {
    let words = crate::parse_words(&["file.managed", "/etc/x", "contents=x"]);
    let compiled = crate::single(&words, &BTreeMap::<String, Vec<u8>>::new()).unwrap();
    let report = reported(&compiled, Outcome::Unchanged, Vec::new(), &[]);
    let returned = state_return(&report, &compiled, &TimeZone::UTC);
    assert_eq!(returned["file_|-/etc/x_|-/etc/x_|-managed"]["__sls__"], Value::Null);
}

#[test]
fn a_listener_is_told_only_where_it_had_something_to_do() {
    let sls = "greet: {cmd.run: [{listen: [{file: /etc/same}]}]}\n\
               /etc/same: {file.managed: [{contents: CONTENTS}]}\n";
    let listener = "cmd_|-listener_greet_|-greet_|-mod_watch";
    assert!(!returned(&sls.replace("CONTENTS", "same")).contains_key(listener));
    let returned = returned(&sls.replace("CONTENTS", "other"));
    assert_eq!(returned[listener]["comment"], "Command \"greet\" run");
    assert_eq!(
        (&returned[listener]["__id__"], &returned[listener]["__run_num__"]),
        (&json!("listener_greet"), &json!(2))
    );
}

#[test]
fn what_a_run_that_stopped_left_out_says_so() {
    let (compiled, host) =
        (compiled("bad: {cmd.run: [{failhard: True}]}\n/x: {file.absent: []}\n"), FakeHost::default());
    host.change_world(|world| {
        world.failing.insert(["/bin/sh", "-c", "bad"].map(str::to_owned).to_vec());
        world.write("/x", "");
    });
    let returned = applied(&compiled, &host);
    let entry = &returned["file_|-/x_|-/x_|-absent"];
    assert_eq!(entry["comment"], "Not run, because web.bad failed, which has failhard");
    assert_eq!((&entry["result"], &entry["__state_ran__"]), (&json!(false), &json!(false)));
}

#[test]
fn an_archive_is_told_in_salts_words() {
    let archive = "/opt/a: {archive.extracted: [{source: /srv/a.tgz}]}";
    let new = || change(ChangeKind::Create, "unpack /srv/a.tgz into /opt/a");
    let changes = json!({"created": "unpack /srv/a.tgz into /opt/a"});
    assert_eq!(
        told(archive, Outcome::Changed, new()),
        (json!("/srv/a.tgz extracted to /opt/a/"), changes.clone())
    );
    assert_eq!(
        told(archive, Outcome::WouldChange, new()),
        (json!("Archive /srv/a.tgz would be extracted to /opt/a/"), changes)
    );
    let (compiled, host) = (compiled(archive), FakeHost::default());
    for comment in ["/srv/a.tgz extracted to /opt/a/", "All files in archive are already present"] {
        let returned = applied(&compiled, &host);
        assert_eq!(returned["archive_|-/opt/a_|-/opt/a_|-extracted"]["comment"], comment);
    }
}

#[test]
fn what_goes_and_what_is_edited_is_told_in_salts_words() {
    let sls = "/etc/same: {file.append: [{text: more}]}\n\
               old: {user.absent: []}\n\
               a: {file.replace: [{name: /etc/same}, {pattern: more}, {repl: MORE}]}\n\
               pretend: {test.succeed_with_changes: []}\n\
               fail: {test.fail_with_changes: []}\n";
    let (compiled, host) = (compiled(sls), FakeHost::default());
    host.change_world(|world| {
        world.write("/etc/same", "same\n");
        world.users.insert(
            "old".to_owned(),
            User {
                name: "old".to_owned(),
                uid: None,
                group: "old".to_owned(),
                home: "/".into(),
                shell: "/".into(),
            },
        );
    });
    let first = applied(&compiled, &host);
    let told = |returned: &Map<String, Value>, id: &str| {
        let entry = returned.values().find(|entry| entry["__id__"] == id).unwrap();
        (entry["comment"].clone(), entry["changes"].clone())
    };
    let testing = json!({"testing": {"old": "Unchanged", "new": "Something pretended to change"}});
    for (id, comment, changes) in [
        ("/etc/same", "Appended 1 lines", json!({"diff": "--- \n+++ \n@@ -1 +1,2 @@\n same\n+more\n"})),
        ("old", "Removed user old", json!({"old": "removed"})),
        ("a", "Changes were made", json!({"diff": "--- \n+++ \n@@ -1,2 +1,2 @@\n same\n-more\n+MORE\n"})),
        ("pretend", "Success!", testing.clone()),
        ("fail", "Failure!", testing),
    ] {
        assert_eq!(told(&first, id), (json!(comment), changes), "{id}");
    }
    let second = applied(&compiled, &host);
    assert_eq!(told(&second, "old").0, "User old is not present");
    assert_eq!(told(&second, "fail").1, told(&first, "fail").1);
}
