//! `salt-call` as a person types it: the whole program, on files of a folder.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    process::Command,
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with SLS files in `states`, a configuration in `config`, and the program under Salt's name.
struct Place(TempDir);

struct Said {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Place {
    fn new(sls: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for folder in ["states", "config", "out"] {
            fs::create_dir(place.path(folder)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_metalk8s"), place.path("salt-call")).unwrap();
        let sls = sls.replace("OUT", place.path("out").to_str().unwrap());
        fs::write(place.path("states/web.sls"), sls).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn call(&self, words: &[&str]) -> Said {
        let output = Command::new(self.path("salt-call"))
            .arg("--local")
            .arg("--file-root")
            .arg(self.path("states"))
            .arg("--config-dir")
            .arg(self.path("config"))
            .args(words)
            .env("TZ", "UTC")
            .env_remove("METALK8S_LOG")
            .output()
            .unwrap();
        Said {
            status: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What the state of this id returned.
    fn entry(&self, words: &[&str], id: &str) -> Value {
        let said = self.call(&[words, &["--out", "json"]].concat());
        let whole: Value = serde_json::from_str(&said.stdout).unwrap();
        let states = whole["local"].as_object().unwrap();
        states.values().find(|entry| entry["__id__"] == id).unwrap().clone()
    }
}

const SLS: &str = "\
same:
  file.managed: [{name: OUT/same}, {contents: hello}]
changed:
  file.managed: [{name: OUT/changed}, {contents: \"new\\nkeep\"}]
mode:
  file.managed: [{name: OUT/mode}, {contents: hello}, {mode: '0600'}]
failing:
  cmd.run: [{name: echo why >&2; exit 3}]
after:
  file.managed: [{name: OUT/after}, {contents: x}, {require: [{cmd: failing}]}]
";

fn place() -> Place {
    let place = Place::new(SLS);
    for (name, text) in [("same", "hello\n"), ("changed", "old\nkeep\n"), ("mode", "hello\n")] {
        let path = place.path("out").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }
    place
}

#[test]
fn states_are_applied_and_failures_end_with_1_or_with_2_when_passed_through() {
    let place = place();
    let said = place.call(&["state.apply", "web"]);
    assert_eq!(said.status, 1, "{}", said.stderr);
    assert!(
        said.stdout.contains("\nSummary for local\n------------\nSucceeded: 3 (changed=3)\nFailed:    2\n")
    );
    assert_eq!(fs::read_to_string(place.path("out/changed")).unwrap(), "new\nkeep\n");
    assert!(!place.path("out/after").exists());
    assert_eq!(place.call(&["state.apply", "web", "--retcode-passthrough"]).status, 2);
    assert_eq!(place.call(&["state.single", "file.absent", "/nonesuch"]).status, 0);
}

#[test]
fn the_words_of_a_real_host_come_out_as_salts() {
    let place = place();
    let entry = |id| place.entry(&["state.apply", "web", "test=True"], id);
    assert_eq!(entry("same")["result"], true);
    assert_eq!(entry("mode")["changes"], json!({"mode": "0600"}));
    assert_eq!(entry("changed")["changes"]["diff"], "--- \n+++ \n@@ -1,2 +1,2 @@\n-old\n+new\n keep\n");
    assert_eq!(fs::read_to_string(place.path("out/changed")).unwrap(), "old\nkeep\n", "test mode changed it");
    let folder = place.path("out/folder");
    let words = ["state.single", "file.directory", folder.to_str().unwrap()];
    assert_eq!(place.entry(&words, words[2])["changes"], json!({words[2]: {"directory": "new"}}));
    let words = [&words[..], &["mode=0700"]].concat();
    let entry = place.entry(&words, words[2]);
    assert_eq!(entry["changes"], json!({words[2]: {"mode": "0700"}, "mode": "0700"}));
    let failed = place.entry(&["state.apply", "web"], "failing");
    assert_eq!(failed["comment"], "Command \"echo why >&2; exit 3\" run");
    let changes = &failed["changes"];
    assert_eq!(
        (&changes["retcode"], &changes["stdout"], &changes["stderr"]),
        (&json!(3), &json!(""), &json!("why"))
    );
    assert!(changes["pid"].is_u64(), "{changes}");
}

#[test]
fn what_functions_do_is_said_without_quotes() {
    let place = Place::new("");
    let one = place.call(&["-d", "test.ping"]);
    assert_eq!(one.status, 0, "{}", one.stderr);
    assert!(one.stdout.starts_with("test.ping:\n"), "{}", one.stdout);
    let all = place.call(&["--doc"]);
    assert!(all.stdout.contains("\n\nstate.apply:\n"), "{}", all.stdout);
    assert_eq!(place.call(&[]).status, 2);
}

#[test]
fn mistakes_in_states_end_with_1_and_wrong_words_with_2() {
    let place = Place::new("a: {file.mangled: []}\n");
    let said = place.call(&["state.apply", "web"]);
    assert_eq!((said.status, said.stdout.as_str()), (1, ""));
    assert!(said.stderr.contains("web.sls:1:5: `a`: the function `file.mangled` is not known (MK1804)"));
    let said = place.call(&["state.apply", "nonesuch"]);
    assert!(said.stderr.contains(place.path("states").to_str().unwrap()), "{}", said.stderr);
    let said = place.call(&["state.aply", "web"]);
    assert_eq!(said.status, 2);
    assert!(said.stderr.contains("`state.apply`") && said.stderr.contains("(MK1003)"), "{}", said.stderr);
}

#[test]
fn the_configuration_is_the_pillar_and_its_mistakes_do_not_hide_facts() {
    let place = Place::new("");
    assert_eq!(place.call(&["pillar.get", "networks"]).stdout, "local:\n");
    let configuration = "apiVersion: metalk8s.scality.com/v1alpha2\nkind: BootstrapConfiguration\n\
                         networks: {controlPlane: 10.200.1.0/28, workloadPlane: 10.200.1.0/28}\n\
                         ca: {minion: bootstrap}\narchives: [/archives/metalk8s.iso]\n";
    fs::write(place.path("config/bootstrap.yaml"), configuration).unwrap();
    assert_eq!(place.call(&["pillar.get", "networks:pod"]).stdout, "local:\n    10.233.0.0/16\n");
    fs::write(place.path("config/bootstrap.yaml"), "kind: Something\n").unwrap();
    let said = place.call(&["pillar.items"]);
    assert_eq!(said.status, 1);
    assert!(said.stderr.contains("bootstrap.yaml:1:7: `kind`"), "{}", said.stderr);
    let said = place.call(&["grains.get", "kernel"]);
    assert_eq!((said.status, said.stdout.as_str()), (0, "local:\n    Linux\n"));
    assert!(said.stderr.contains("there is no grain `metalk8s`"), "{}", said.stderr);
    assert_eq!(place.call(&["grains.get", "kernel", "-l", "quiet"]).stderr, "");
}

#[test]
fn options_that_mean_nothing_here_are_refused() {
    let place = Place::new("");
    for option in ["--out=xml", "--state-output=loud", "--nonesuch"] {
        assert_eq!(place.call(&["test.ping", option]).status, 2, "{option}");
    }
    assert_eq!(place.call(&["test.ping", "--out", "txt"]).stdout, "local: True\n");
}

#[test]
fn results_are_indented_as_wished_and_go_into_a_file_where_one_is_named() {
    let place = Place::new("");
    let line = place.call(&["test.kwarg", "a=1", "--out=json", "--out-indent=-1"]);
    assert_eq!(line.stdout, "{\"local\": {\"a\": 1}}\n");
    let yaml = place.call(&["test.kwarg", "a=1", "--out=yaml", "--out-indent=4"]);
    assert_eq!(yaml.stdout, "local:\n    a: 1\n");
    let file = place.path("out/result");
    let named = file.to_str().unwrap();
    for words in [&["--out-file", named][..], &["--out-file", named, "--out-file-append"]] {
        let said = place.call(&[&["test.ping", "--out=txt", "--force-color"], words].concat());
        assert_eq!((said.status, said.stdout.as_str()), (0, ""), "{}", said.stderr);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "local: True\nlocal: True\n");
    let said = place.call(&["test.ping", "--out-file=/nonesuch/result"]);
    assert_eq!(said.status, 1);
    assert!(said.stderr.contains("could not write `/nonesuch/result`"), "{}", said.stderr);
}

#[test]
fn facts_are_shown_by_an_option_too() {
    let place = Place::new("");
    let said = place.call(&["-g", "--out=json"]);
    let whole: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(whole["local"]["kernel"], "Linux");
}

#[test]
fn a_formula_of_the_program_tells_what_is_wrong_with_the_archives() {
    let place = Place::new("");
    let call = |words: &[&str]| place.call(&[&["state.sls", "metalk8s.archives.mounted"], words].concat());
    let said = call(&["test=True"]);
    assert_eq!(said.status, 1);
    assert!(said.stderr.contains("(MK1101)") && said.stderr.contains("bootstrap.yaml"), "{}", said.stderr);
    let configuration = "apiVersion: metalk8s.scality.com/v1alpha2\nkind: BootstrapConfiguration\n\
                         networks: {controlPlane: 10.200.1.0/28, workloadPlane: 10.200.1.0/28}\n\
                         ca: {minion: bootstrap}\narchives: /nonesuch/metalk8s.iso\n";
    fs::write(place.path("config/bootstrap.yaml"), configuration).unwrap();
    let said = call(&["test=True"]);
    assert!(said.stderr.contains("`/nonesuch/metalk8s.iso` does not exist (MK1301)"), "{}", said.stderr);
    let said = call(&["test=True", "pillar={metalk8s: {archives: [/other.iso]}}"]);
    assert!(said.stderr.contains("`/other.iso` does not exist (MK1301)"), "{}", said.stderr);
    let said = call(&["test=True", "pillar={metalk8s: {archives: [other.iso]}}"]);
    assert_eq!(said.status, 1);
    assert!(
        said.stderr.contains("`metalk8s.archives[0]`: this path is not absolute (MK1108)"),
        "{}",
        said.stderr
    );
    assert_eq!(call(&["test=True", "pillar=other.iso"]).status, 2);
    let said = call(&["saltenv=metalk8s-9.9.9"]);
    assert_eq!((said.status, said.stdout.as_str()), (1, ""));
    assert!(said.stderr.contains("not of `metalk8s-9.9.9`; installed: "), "{}", said.stderr);
}

#[test]
fn colours_are_for_terminals_and_for_those_who_insist() {
    let place = place();
    let coloured = |words: &[&str]| place.call(&[&["test.ping"], words].concat()).stdout.contains('\u{1b}');
    assert!(!coloured(&[]) && !coloured(&["--no-color"]) && !coloured(&["--no-colour"]));
    assert!(coloured(&["--force-color"]) && coloured(&["--force-colour"]));
    assert_eq!(place.call(&["test.ping", "--force-color", "--no-color"]).status, 2);
}
