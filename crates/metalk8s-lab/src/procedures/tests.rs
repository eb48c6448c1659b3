//! The real manual, and small ones that show the rules.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
    time::Duration,
};

use metalk8s_types::Role;

use super::*;
use crate::process::{self, Output};

const ENTRIES: usize = 225;

fn manual() -> Book {
    Book::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/procedures")).unwrap()
}

fn facts() -> Facts {
    Facts {
        version: "0.1.0".to_owned(),
        node: "bootstrap".to_owned(),
        new_node: "node1".to_owned(),
        new_node_ip: [198, 18, 0, 11].into(),
        new_node_roles: vec![Role::Node],
        etcd_members: 1,
        iso: "/archives/metalk8s.iso".to_owned(),
        other_iso: "/archives/metalk8s-other.iso".to_owned(),
        other_version: "0.1.9".to_owned(),
        control_plane_ip: [198, 18, 7, 10].into(),
        control_plane_cidr: "198.18.7.0/24".parse().unwrap(),
        workload_plane_cidr: "198.18.8.0/24".parse().unwrap(),
    }
}

/// A book of one section, each entry `run` by the suite `s` unless it says otherwise.
fn book(entries: &str) -> Book {
    let section = format!("section = \"A\"\ntitle = \"Test\"\nrelease = \"2.5.1\"\n{entries}");
    Book::new(vec![toml::from_str(&section).unwrap()])
}

fn entry(id: &str, text: &str, run: &str) -> String {
    format!(
        "[[procedure]]\nid = \"{id}\"\nheading = \"h\"\nkind = \"cmd\"\nstatus = \"printed\"\nmetric = true\n\
         where = \"bootstrap\"\nseen = \"it\"\ntext = '''\n{text}\n'''\n\
         [procedure.run]\nsuite = \"s\"\n{run}\n"
    )
}

fn said(code: i32, stdout: &str) -> Output {
    Output { code, stdout: stdout.to_owned(), stderr: String::new() }
}

/// Remembers what it was asked, and answers by what the command contains; else as a command that does nothing.
#[derive(Default)]
struct FakePlace {
    answers: RefCell<Vec<(&'static str, Output)>>,
    asked: RefCell<Vec<(Where, String)>>,
}

impl FakePlace {
    /// Answers in this order; one that is the last of its kind is given again and again.
    fn new(answers: Vec<(&'static str, Output)>) -> Self {
        Self { answers: RefCell::new(answers), asked: RefCell::default() }
    }
}

impl Place for FakePlace {
    fn run(&self, place: Where, command: &str, _deadline: Duration) -> Output {
        self.asked.borrow_mut().push((place, command.to_owned()));
        let mut answers = self.answers.borrow_mut();
        let fitting: Vec<_> = answers
            .iter()
            .enumerate()
            .filter(|(_, (part, _))| command.contains(part))
            .map(|(at, _)| at)
            .collect();
        match fitting[..] {
            [] => said(0, ""),
            [only] => answers[only].1.clone(),
            [first, ..] => answers.remove(first).1,
        }
    }
}

/// This computer: for commands that do no harm.
struct Here;

impl Place for Here {
    fn run(&self, _place: Where, command: &str, deadline: Duration) -> Output {
        process::capture(Command::new("bash").args(["-c", command]), None, deadline).unwrap()
    }
}

fn outcomes(book: &Book, place: &dyn Place, available: &[Need]) -> Report {
    let mut report = Report::new(book, "s");
    let runner = Runner { book, facts: &facts(), place };
    runner.run(&available.iter().copied().collect(), &mut report, &mut |_, _| {});
    report
}

#[test]
fn the_manual_is_complete_and_sound() {
    let problems = manual().problems(ENTRIES);
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn the_manual_has_as_many_entries_of_each_kind_as_were_counted() {
    let book = manual();
    let mut found = BTreeMap::<_, [usize; 4]>::new();
    for procedure in book.procedures() {
        found.entry(procedure.kind).or_default()[procedure.status as usize] += 1;
    }
    let counted = [
        (Kind::Cmd, [108, 44, 12, 0]),
        (Kind::Http, [1, 0, 2, 2]),
        (Kind::Manifest, [10, 3, 1, 0]),
        (Kind::Config, [9, 13, 0, 0]),
        (Kind::Ui, [6, 0, 2, 0]),
        (Kind::Flow, [0, 0, 0, 4]),
        (Kind::Step, [2, 2, 4, 0]),
    ];
    assert_eq!(found, BTreeMap::from(counted));
}

#[test]
fn the_manual_has_167_commands_of_which_13_are_of_the_later_release() {
    let book = manual();
    let of = |release: &str| {
        let sections = book.sections.iter().filter(|section| section.release == release);
        sections.flat_map(|section| &section.procedures).filter(|procedure| procedure.metric).count()
    };
    assert_eq!((of("2.5.1"), of("2.10.8")), (154, 13));
    assert_eq!(Report::new(&book, "procedures").counts().of, 167);
}

#[test]
fn every_section_has_as_many_commands_as_were_counted() {
    let counted = "A6 B12 C7 D6 E3 F7 G7 H10 I10 J6 K10 L12 M2 N21 O11 P3 Q21 R13";
    let found: Vec<_> = manual()
        .sections
        .iter()
        .map(|section| {
            let commands = section.procedures.iter().filter(|procedure| procedure.metric).count();
            format!("{}{commands}", section.letter)
        })
        .collect();
    assert_eq!(found.join(" "), counted);
}

#[test]
fn every_command_line_of_the_manual_is_one_for_the_shell() {
    let book = manual();
    let mut seen = 0;
    for procedure in book.procedures().filter(|procedure| procedure.run.is_some()) {
        let call = call(&book, procedure, &facts()).unwrap();
        let output = process::capture(
            Command::new("bash").args(["-n", "-c", &call.command]),
            None,
            Duration::from_secs(60),
        )
        .unwrap();
        assert!(output.success() && output.stderr.is_empty(), "{}: {}", procedure.id, output.stderr);
        seen += 1;
    }
    assert!(seen > 60, "{seen}");
}

#[test]
fn the_version_under_test_stands_for_the_printed_one() {
    let book = manual();
    for procedure in book.procedures().filter(|procedure| procedure.run.is_some()) {
        let command = call(&book, procedure, &facts()).unwrap().command;
        assert!(!command.contains("2.5.1") && !command.contains("2.10.8"), "{}: {command}", procedure.id);
    }
}

#[test]
fn a_printed_command_is_run_as_printed() {
    let book = manual();
    let call = call(&book, book.get("P009").unwrap(), &facts()).unwrap();
    assert_eq!(call.place, Where::Bootstrap);
    let lines: Vec<_> = call.command.lines().collect();
    assert_eq!(lines[..2], ["set -e", "mount /archives/metalk8s.iso /srv/scality/metalk8s-0.1.0"]);
}

#[test]
fn a_command_of_a_container_is_carried_there() {
    let book = manual();
    let command = call(&book, book.get("P046").unwrap(), &facts()).unwrap().command;
    let start = "kubectl --kubeconfig /etc/kubernetes/admin.conf exec --namespace kube-system etcd-bootstrap \
                 --container etcd -- sh -c '";
    assert!(command.starts_with(start), "{command}");
    assert!(command.contains("endpoint health --cluster"), "{command}");
}

#[test]
fn a_variable_of_an_entry_before_is_there_in_the_same_shell() {
    let book = manual();
    let command = call(&book, book.get("P054").unwrap(), &facts()).unwrap().command;
    let defined = command.find("CONT_ID=$(crictl ps").unwrap();
    let used = command.find("crictl exec -it \"$CONT_ID\"").unwrap();
    assert!(defined < used && command.starts_with("SHELL=/bin/bash script "), "{command}");
}

#[test]
fn a_file_that_a_command_wants_has_the_printed_content() {
    let book = manual();
    let command = call(&book, book.get("P089").unwrap(), &facts()).unwrap().command;
    assert!(command.contains("provisioner: kubernetes.io/no-provisioner"), "{command}");
    assert!(command.contains("name: procedures") && !command.contains("<storageclass_name>"), "{command}");
}

#[test]
fn a_wait_of_ours_comes_before_the_line_it_belongs_to() {
    let book = manual();
    let command = call(&book, book.get("P215").unwrap(), &facts()).unwrap().command;
    let at = |part: &str| command.find(part).unwrap_or_else(|| panic!("{part}: {command}"));
    assert!(at("kubectl run shell") < at("kubectl wait") && at("kubectl wait") < at("kubectl exec"));
}

#[test]
fn a_new_node_has_its_roles_in_its_manifest_and_in_the_list_of_nodes() {
    let book = manual();
    let (worker, master) = (vec![Role::Node], vec![Role::Etcd, Role::Infra, Role::Master]);
    let of_a_master = "    node-role.kubernetes.io/etcd: ''\n    node-role.kubernetes.io/infra: ''\n    \
                       node-role.kubernetes.io/master: ''\n";
    for (roles, labels, listed, other) in [
        (worker, "    node-role.kubernetes.io/node: ''\n", "node", "etcd,infra,master"),
        (master, of_a_master, "etcd,infra,master", "node"),
    ] {
        let facts = Facts { new_node_roles: roles, ..facts() };
        let manifest = format!("  labels:\n    metalk8s.scality.com/version: '0.1.0'\n{labels}");
        for (id, after) in [("P027", "spec:\n"), ("P032", "END\n")] {
            let command = call(&book, book.get(id).unwrap(), &facts).unwrap().command;
            assert!(command.contains(&format!("{manifest}{after}")), "{id}: {command}");
        }
        let run = book.get("P033").unwrap().run.as_ref().unwrap();
        let shown =
            |roles: &str| judge(run, &facts, &said(0, &format!("node1   Unknown   {roles}   3s    \n")));
        assert_eq!(shown(listed), Verdict::Passed);
        assert!(matches!(shown(other), Verdict::Failed { .. }), "{other} instead of {listed}");
    }
}

#[test]
fn as_many_members_of_etcd_are_healthy_as_there_are() {
    let book = manual();
    let run = book.get("P038").unwrap().run.as_ref().unwrap();
    let facts = Facts { etcd_members: 3, ..facts() };
    let healthy = |last: u8| {
        format!("https://198.18.0.{last}:2379 is healthy: successfully committed proposal: took = 9ms\n")
    };
    let two = [healthy(10), healthy(11)].concat();
    assert!(matches!(judge(run, &facts, &said(0, &two)), Verdict::Failed { .. }));
    assert_eq!(judge(run, &facts, &said(0, &format!("{two}{}", healthy(12)))), Verdict::Passed);
}

#[test]
fn mistakes_in_the_entries_are_all_told() {
    let text = [
        entry("P001", "uname <what> X.X.X", "form = \"printed\""),
        entry("P001", "uname", "form = \"adapted\""),
        entry("P003", "uname", "form = \"printed\"\nreason = \"r\"\nfill = {\"<x>\" = \"y\"}"),
        entry("P004", "uname", "form = \"printed\"\ncheck = \"{nothing}\"\n[procedure.run.expect]\nstdout_matches = ['(']"),
        entry("P005", "uname", "form = \"printed\"\nsame_shell = [\"P009\"]"),
        "[[procedure]]\nid = \"P006\"\nheading = \"h\"\nkind = \"ui\"\nstatus = \"prose\"\nmetric = true\n\
         where = \"browser\"\nseen = \"\"\ntext = \"x\"\nnot_yet = { issue = \"i\" }\ncannot = { why = \"\" }\n"
            .to_owned(),
    ]
    .concat();
    let problems = book(&text).problems(5).join("\n");
    for part in [
        "P002: it is missing",
        "P006: there is no such procedure",
        "P001: it is there 2 times",
        "P001: `X.X.X` is not filled in",
        "P001: an adapted form belongs to an entry that is adapted",
        "P001: what is adapted has a reason, and nothing else has one",
        "P003: what is adapted has a reason",
        "P003: `<x>` is not in its text",
        "P004: the pattern `(` is none",
        "P004: P004 names the fact `{nothing}`, which is none",
        "P005: it names P009 as another procedure",
        "P006: it needs one of run, shown, not_yet and cannot",
        "P006: metric is wrong",
        "P006: commands, calls and contents of files have a text, others have none",
        "P006: it does not say what must be seen",
        "P006: it gives no reason",
    ] {
        assert!(problems.contains(part), "{part} is not among\n{problems}");
    }
}

#[test]
fn what_is_no_command_may_be_shown_by_suites_that_there_are() {
    let entry = |metric: bool, suites: &str| {
        let kind = if metric { "cmd\"\ntext = \"x" } else { "step" };
        book(&format!(
            "[[procedure]]\nid = \"P001\"\nheading = \"h\"\nkind = \"{kind}\"\nstatus = \"prose\"\nmetric = {metric}\n\
             where = \"node\"\nseen = \"it\"\nshown = {{ suites = [{suites}] }}\n"
        ))
    };
    let shown = entry(false, "\"t\", \"u\"");
    assert_eq!(shown.problems(1), Vec::<String>::new());
    let outcome = Report::new(&shown, "s").outcome("P001").cloned();
    assert_eq!(outcome, Some(Outcome::Elsewhere { suite: "t, u".to_owned() }));
    assert_eq!(entry(false, "").problems(1), ["P001: it is shown by no suite"]);
    let problem = "P001: a documented command is run as it is printed, not shown";
    assert_eq!(entry(true, "\"t\"").problems(1), [problem]);
    let manual = manual();
    for suite in manual.procedures().flat_map(|procedure| &procedure.shown).flat_map(|shown| &shown.suites) {
        assert!(crate::suite::SUITES.iter().any(|known| known.name == suite), "there is no suite `{suite}`");
    }
}

#[test]
fn redirections_are_no_placeholders() {
    let text = entry("P001", "cat <<EOF < file > other\nEOF", "form = \"printed\"");
    assert_eq!(book(&text).problems(1), Vec::<String>::new());
    let text = entry("P001", "cat </path/to/iso>", "form = \"printed\"");
    assert_eq!(book(&text).problems(1), ["P001: `</path/to/iso>` is not filled in"]);
}

#[test]
fn a_key_that_nobody_knows_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = "section = \"A\"\ntitle = \"t\"\nrelease = \"1\"\nprocedure = []\nother = 1\n";
    std::fs::write(folder.path().join("a.toml"), text).unwrap();
    let error = Book::read(folder.path()).unwrap_err();
    assert!(matches!(&error, ReadBookError::Parse { path, .. } if path.ends_with("a.toml")), "{error}");
}

#[test]
fn an_output_is_judged_by_code_and_patterns() {
    let text = entry(
        "P001",
        "x",
        "form = \"printed\"\n[procedure.run.expect]\nexit = 3\nstdout_matches = ['^{node} v\\d$']\n\
         stderr_matches = ['warn']\noutput_matches = ['either']\noutput_lacks = ['bad']",
    );
    let book = book(&text);
    let run = book.get("P001").unwrap().run.clone().unwrap();
    let verdict = |code, stdout: &str, stderr: &str| {
        judge(&run, &facts(), &Output { code, stdout: stdout.to_owned(), stderr: stderr.to_owned() })
    };
    assert_eq!(verdict(3, "bootstrap v1\r\n", "warn either"), Verdict::Passed);
    assert_eq!(
        verdict(0, "bootstrap vx bad", ""),
        Verdict::Failed {
            problems: vec![
                "it ended with 0, not with 3".to_owned(),
                "nothing in the standard output is like `^bootstrap v\\d$`".to_owned(),
                "nothing in the standard error is like `warn`".to_owned(),
                "nothing in the output is like `either`".to_owned(),
                "something in the output is like `bad`".to_owned(),
                "the end of its standard output:\nbootstrap vx bad".to_owned(),
            ]
        }
    );
}

#[test]
fn a_fact_in_a_pattern_is_taken_literally() {
    let regex = judge::compile("^{version}$", &facts()).unwrap();
    assert!(regex.is_match("some\n0.1.0\n") && !regex.is_match("0x1x0"));
}

#[test]
fn passed_and_adapted_commands_are_counted_apart_and_failures_not() {
    let text = [
        entry("P001", "good", "form = \"printed\""),
        entry("P002", "old", "form = \"adapted\"\nadapted = \"new\"\nreason = \"r\""),
        entry("P003", "wrong", "form = \"printed\""),
        entry("P004", "later", "form = \"printed\"\nneeds = [\"cluster\"]"),
        entry("P005", "other", "form = \"printed\"").replace("suite = \"s\"", "suite = \"t\""),
    ]
    .concat();
    let book = book(&text);
    let place = FakePlace::new(vec![("wrong", said(1, "what went wrong"))]);
    let report = outcomes(&book, &place, &[]);
    assert_eq!(report.summary(), "1 as printed, 1 adapted, of 5");
    let expected = Counts { of: 5, as_printed: 1, adapted: 1, failed: 1, not_run: 2, not_yet: 0, cannot: 0 };
    assert_eq!(report.counts(), expected);
    assert!(report.has_failures());
    let asked: Vec<_> =
        place.asked.borrow().iter().map(|(_, command)| command.replace("set -e\n", "")).collect();
    assert_eq!(asked, ["good", "new", "wrong"]);
    let table = report.table();
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["A.", "Test", "5", "1", "1", "1", "2", "0", "0"]);
    let json = report.json();
    assert_eq!(json["counts"]["as_printed"], 1);
    assert_eq!(json["procedures"][2]["outcome"], "failed");
    assert_eq!(json["procedures"][2]["problems"][1], "the end of its standard output:\nwhat went wrong");
    assert_eq!(json["procedures"][3]["needs"][0], "cluster");
}

#[test]
fn what_waits_is_run_once_it_has_all_it_needs() {
    let text = [
        entry("P001", "bare", "form = \"printed\"\nneeds = [\"bare-machine\"]"),
        entry("P002", "cluster", "form = \"printed\"\nneeds = [\"cluster\"]"),
    ]
    .concat();
    let book = book(&text);
    let place = FakePlace::default();
    let facts = facts();
    let runner = Runner { book: &book, facts: &facts, place: &place };
    let mut report = Report::new(&book, "s");
    let mut told = Vec::new();
    for needs in [BTreeSet::from([Need::BareMachine]), BTreeSet::from([Need::BareMachine, Need::Cluster])] {
        runner.run(&needs, &mut report, &mut |procedure, outcome| {
            told.push((procedure.id.clone(), outcome.clone()));
        });
    }
    assert_eq!(told, [("P001".to_owned(), Outcome::Passed), ("P002".to_owned(), Outcome::Passed)]);
}

#[test]
fn one_entry_is_run_by_whom_it_is_asked_for() {
    let text = [
        entry("P001", "good", "form = \"printed\"\nneeds = [\"cluster\"]")
            .replace("suite = \"s\"", "suite = \"t\""),
        entry("P002", "wrong", "form = \"printed\""),
        "[[procedure]]\nid = \"P003\"\nheading = \"h\"\nkind = \"ui\"\nstatus = \"prose\"\nmetric = false\n\
         where = \"browser\"\nseen = \"it\"\nnot_yet = { issue = \"i\" }\n"
            .to_owned(),
    ]
    .concat();
    let book = book(&text);
    let place = FakePlace::new(vec![("wrong", said(1, ""))]);
    let facts = facts();
    let runner = Runner { book: &book, facts: &facts, place: &place };
    assert_eq!(runner.run_one("P001"), Verdict::Passed);
    for (id, problem) in [
        ("P002", "it ended with 1, not with 0"),
        ("P003", "P003 is not run"),
        ("P004", "there is no entry P004"),
    ] {
        assert_eq!(runner.run_one(id), Verdict::Failed { problems: vec![problem.to_owned()] });
    }
    assert_eq!(place.asked.borrow().len(), 2);
}

#[test]
fn a_reboot_is_believed_when_the_system_has_another_start() {
    let text = entry("P001", "reboot", "form = \"printed\"\nreboots = true");
    let answers = || {
        vec![
            ("UserspaceTimestamp", said(0, "one")),
            ("UserspaceTimestamp", said(255, "")),
            ("UserspaceTimestamp", said(0, "two")),
        ]
    };
    let place = FakePlace::new(answers());
    assert_eq!(outcomes(&book(&text), &place, &[]).outcome("P001"), Some(&Outcome::Passed));
    let text = entry("P001", "reboot", "form = \"printed\"\nreboots = true\ndeadline_seconds = 0");
    let place = FakePlace::new(vec![("UserspaceTimestamp", said(0, "one"))]);
    let report = outcomes(&book(&text), &place, &[]);
    assert!(matches!(report.outcome("P001"), Some(Outcome::Failed { .. })), "{report:?}");
}

#[test]
fn every_command_of_a_text_must_succeed() {
    let text = entry("P001", "false\necho end", "form = \"printed\"");
    let report = outcomes(&book(&text), &Here, &[]);
    assert!(matches!(report.outcome("P001"), Some(Outcome::Failed { .. })), "{report:?}");
}

#[test]
fn the_effect_of_a_command_that_must_fail_is_looked_at_too() {
    let run = "form = \"printed\"\ncheck = \"echo $value\"\n\
               [procedure.run.expect]\nexit = 3\nstdout_matches = ['^seen$']";
    let passed = outcomes(&book(&entry("P001", "value=seen; (exit 3)", run)), &Here, &[]);
    assert_eq!(passed.outcome("P001"), Some(&Outcome::Passed));
    let failed = outcomes(&book(&entry("P001", "value=seen; (exit 0)", run)), &Here, &[]);
    assert!(matches!(failed.outcome("P001"), Some(Outcome::Failed { .. })), "{failed:?}");
}

#[test]
fn what_is_typed_reaches_the_shell_that_a_command_opens() {
    let text = [
        entry("P001", "export GREETING=hello", "form = \"printed\""),
        entry(
            "P002",
            "sh",
            "form = \"printed\"\nsame_shell = [\"P001\"]\ntyped = \"echo $GREETING from {node}\"\n\
             [procedure.run.expect]\nstdout_matches = ['^hello from bootstrap$']",
        ),
    ]
    .concat();
    assert_eq!(outcomes(&book(&text), &Here, &[]).outcome("P002"), Some(&Outcome::Passed));
}

#[test]
fn what_is_typed_reaches_a_program_that_insists_on_a_terminal() {
    let text = entry(
        "P001",
        "test -t 0 && read -r word && echo \"read $word\"",
        "form = \"printed\"\nterminal = true\ntyped = \"hello\"\n\
         [procedure.run.expect]\nstdout_matches = ['^read hello$']",
    );
    let report = outcomes(&book(&text), &Here, &[]);
    assert_eq!(report.outcome("P001"), Some(&Outcome::Passed));
}

#[test]
fn a_call_carries_out_what_is_no_command() {
    let text = entry(
        "P001",
        "GET /healthz of 2.5.1",
        "form = \"printed\"\ncall = \"echo 'called {text}'\"\n\
         [procedure.run.expect]\nstdout_matches = ['^called GET /healthz of {version}$']",
    )
    .replace("\"cmd\"", "\"http\"");
    assert_eq!(outcomes(&book(&text), &Here, &[]).outcome("P001"), Some(&Outcome::Passed));
}

#[test]
fn the_git_commands_of_the_manual_do_what_must_be_seen() {
    let book = manual();
    let mut report = Report::new(&book, "procedures");
    let facts = facts();
    let mut failed = Vec::new();
    Runner { book: &book, facts: &facts, place: &Here }.run(
        &BTreeSet::from([Need::Git]),
        &mut report,
        &mut |procedure, outcome| {
            if let Outcome::Failed { problems } = outcome {
                failed.push(format!("{}: {}", procedure.id, problems.join("\n")));
            }
        },
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(report.outcome("P173"), Some(&Outcome::Passed));
}
