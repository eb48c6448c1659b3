//! From SLS files through the engine and a fake host to what `salt-call` prints.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, sync::Arc};

use jiff::tz::TimeZone;
use metalk8s_diagnostics::Paint;
use metalk8s_engine::{
    ApplyOptions, apply,
    fake::{FakeClock, FakeHost},
    test,
};
use metalk8s_saltcompat::{
    compile, is_success,
    output::{self, Out, StateOutput},
    state_return,
};
use serde_json::{Map, Value, json};

const SLS: &str = "\
motd:
  file.managed:
    - name: /etc/motd
    - contents: |
        hello
        world
greet:
  cmd.run:
    - name: greet
    - onchanges: [{file: motd}]
";

struct Case {
    host: FakeHost,
    sls: &'static str,
}

impl Case {
    fn returned(&self, testing: bool) -> Map<String, Value> {
        let roots = BTreeMap::from([("web.sls".to_owned(), self.sls.as_bytes().to_vec())]);
        let compiled = compile(&["web".to_owned()], &roots).unwrap();
        let options = ApplyOptions { clock: Arc::new(FakeClock::default()), ..ApplyOptions::in_order() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let report = runtime.block_on(async {
            if testing {
                test(&compiled.graph, &self.host, &options).await.unwrap()
            } else {
                apply(&compiled.graph, &self.host, &(), &options).await.unwrap()
            }
        });
        state_return(&report, &compiled, &TimeZone::UTC)
    }

    fn printed(&self, testing: bool, out: Out, detail: StateOutput) -> String {
        output::states("local", &self.returned(testing), out, detail, Paint::default()).unwrap()
    }
}

fn case(sls: &'static str) -> Case {
    let host = FakeHost::default();
    host.change_world(|world| world.write("/etc/motd", "hello\n"));
    Case { host, sls }
}

#[test]
fn states_are_printed_as_salts_users_know_them() {
    assert_eq!(
        case(SLS).printed(false, Out::Nested, StateOutput::Full),
        "\
local:
----------
          ID: motd
    Function: file.managed
        Name: /etc/motd
      Result: True
     Comment: File /etc/motd updated
     Started: 00:00:00.000000
    Duration: 0.0 ms
     Changes:   \n              ----------
              diff:
                  --- \n                  +++ \n                  @@ -1 +1,2 @@
                   hello
                  +world
----------
          ID: greet
    Function: cmd.run
      Result: True
     Comment: Command \"greet\" run
     Started: 00:00:00.000000
    Duration: 0.0 ms
     Changes:   \n              ----------
              pid:
                  1
              retcode:
                  0
              stderr:
              stdout:

Summary for local
-------------
Succeeded: 2 (changed=2)
Failed:    0
-------------
Total states run:     2
Total run time:   0.000 ms
"
        .replace("-------------\n", "------------\n")
    );
}

#[test]
fn a_second_run_changes_nothing() {
    let case = case(SLS);
    case.returned(false);
    let second = case.printed(false, Out::Nested, StateOutput::Terse);
    assert_eq!(
        second,
        "\
local:
  Name: /etc/motd - Function: file.managed - Result: Clean - Started: 00:00:00.000000 - Duration: 0.0 ms
  Name: greet - Function: cmd.run - Result: Clean - Started: 00:00:00.000000 - Duration: 0.0 ms

Summary for local
------------
Succeeded: 2
Failed:    0
------------
Total states run:     2
Total run time:   0.000 ms
"
    );
}

#[test]
fn test_mode_counts_what_would_change() {
    let case = case(SLS);
    let before = case.host.world();
    let printed = case.printed(true, Out::Nested, StateOutput::Full);
    assert!(
        printed.contains("      Result: None\n     Comment: The file /etc/motd is set to be changed\n"),
        "{printed}"
    );
    assert!(printed.contains("Succeeded: 2 (unchanged=2, changed=2)\n"), "{printed}");
    assert_eq!(case.host.world(), before);
}

#[test]
fn json_has_salts_keys() {
    let returned = case(SLS).returned(false);
    let expected = json!({
        "name": "/etc/motd",
        "changes": {"diff": "--- \n+++ \n@@ -1 +1,2 @@\n hello\n+world\n"},
        "result": true,
        "comment": "File /etc/motd updated",
        "__sls__": "web",
        "__run_num__": 0,
        "start_time": "00:00:00.000000",
        "duration": 0.0,
        "__id__": "motd",
    });
    assert_eq!(returned["file_|-motd_|-/etc/motd_|-managed"], expected);
    let printed = output::states("local", &returned, Out::Json, StateOutput::Full, Paint::default()).unwrap();
    let whole: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(whole, json!({ "local": returned }));
    let yaml = output::states("local", &returned, Out::Yaml, StateOutput::Full, Paint::default()).unwrap();
    assert!(yaml.contains("__id__: motd"), "{yaml}");
}

#[test]
fn failures_and_what_waits_for_them_are_said_in_salts_words() {
    let case = case("missing: {service.running: [{require_in: [{cmd: after}]}]}\nafter: {cmd.run: []}\n");
    let returned = case.returned(false);
    assert!(!is_success(&returned));
    assert_eq!(returned["cmd_|-after_|-after_|-run"]["comment"], "One or more requisite failed: web.missing");
    let printed = case.printed(false, Out::Nested, StateOutput::Mixed);
    assert!(printed.contains("     Comment: unit `missing.service` does not exist\n"), "{printed}");
    assert!(printed.contains("Succeeded: 0\nFailed:    2\n"), "{printed}");
}

#[test]
fn states_run_in_the_order_of_the_file() {
    let case = case("b: {cmd.run: []}\na: {cmd.run: []}\nc: {cmd.run: []}\n");
    case.returned(false);
    let ran: Vec<String> = case.host.world().ran.into_iter().map(|argv| argv[2].clone()).collect();
    assert_eq!(ran, ["b", "a", "c"]);
}

#[test]
fn what_changed_failed_or_would_change_is_said_by_colours_too() {
    let sls = "same: {file.absent: [{name: /x}]}\nmotd: {file.managed: [{name: /etc/motd}, {contents: new}]}\n\
               missing: {service.running: []}\n";
    let printed = |testing, detail| {
        output::states("local", &case(sls).returned(testing), Out::Nested, detail, Paint::new(true)).unwrap()
    };
    let full = printed(false, StateOutput::Full);
    for (colour, text) in [
        (31, "local:"),
        (32, "          ID: same"),
        (36, "          ID: motd"),
        (36, "     Changes:   "),
        (31, "      Result: False"),
        (32, "Succeeded: 2"),
        (31, "Failed:    1"),
        (36, "Total states run:     3"),
    ] {
        assert!(full.contains(&format!("\u{1b}[{colour}m{text}\u{1b}[0m")), "{text}: {full}");
    }
    let would = printed(true, StateOutput::Terse);
    assert!(would.contains("\u{1b}[33m  Name: /etc/motd - "), "{would}");
    let plain = case(sls).printed(false, Out::Nested, StateOutput::Full);
    let stripped = ["31", "32", "33", "36", "0"]
        .iter()
        .fold(full, |text, code| text.replace(&format!("\u{1b}[{code}m"), ""));
    assert_eq!(stripped, plain, "colours change no word");
}
