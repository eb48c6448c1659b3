//! `metalk8s run` as a person types it, on journals of a folder.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    process::{Command, Output},
};

use serde_json::{Value, json};

const RUN: &str = "20260112071130203596";
const JOURNAL: &str = r#"{"record":"run","schema":1,"run":"20260112071130203596","name":"bootstrap","version":"0.1.0","steps":["archives","packages"],"at":"2026-01-12T07:11:30Z"}
{"record":"step_started","step":"archives","at":"2026-01-12T07:11:30Z"}
{"record":"step_finished","step":"archives","done":true,"changes":1,"at":"2026-01-12T07:11:32.5Z"}
{"record":"step_started","step":"packages","at":"2026-01-12T07:11:33Z"}
{"record":"step_finished","step":"packages","done":false,"changes":0,"error":["state `packages` (Package kubelet): could not install","  cause: no space is left"],"at":"2026-01-12T07:11:40Z"}
"#;

fn run(words: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(format!("{RUN}.jsonl")), JOURNAL).unwrap();
    Command::new(env!("CARGO_BIN_EXE_metalk8s"))
        .arg("run")
        .args(words)
        .arg("--journals")
        .arg(folder.path())
        .env("TZ", "UTC")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn runs_are_listed_without_colours_where_there_is_no_terminal() {
    let output = run(&["list"]);
    assert_eq!(
        text(&output.stdout),
        "RUN                   WHAT       BEGAN                ENDED                STATE   CHANGED\n\
         20260112071130203596  bootstrap  2026-01-12 07:11:30  2026-01-12 07:11:40  failed  1\n"
    );
}

#[test]
fn a_run_is_shown_as_data_with_its_failure() {
    let output = run(&["show", "--output", "json"]);
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        shown,
        json!({
            "run": RUN,
            "what": "bootstrap",
            "version": "0.1.0",
            "state": "failed",
            "began": "2026-01-12T07:11:30Z",
            "ended": "2026-01-12T07:11:40Z",
            "resumed": 0,
            "steps": [
                {"step": "archives", "state": "done", "seconds": 2.5, "changed": 1},
                {"step": "packages", "state": "failed", "seconds": 7.0, "changed": 0},
            ],
            "failure": [
                "state `packages` (Package kubelet): could not install",
                "  cause: no space is left",
            ],
        })
    );
    let output = run(&["show", RUN, "--output", "yaml"]);
    assert!(text(&output.stdout).contains("state: failed\n"), "{}", text(&output.stdout));
}

#[test]
fn an_unknown_run_is_an_error_with_a_code() {
    let output = run(&["show", "20260101000000000000"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("there is no run `20260101000000000000`") && said.contains("MK1008"), "{said}");
}
