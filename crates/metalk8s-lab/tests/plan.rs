//! Which parts of the tests a change asks for: `scripts/tests/plan` with its table, and `scripts/tests/changed`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use metalk8s_lab::suite::SUITES;

/// What a change of one file asks for.
const EXPECTED: &[(&str, &[&str])] = &[
    ("docs/operation/everyday.md", &["lints-of-other-languages"]),
    ("CHANGELOG.md", &["lints-of-other-languages"]),
    ("benchmarks/join/run.sh", &["lints-of-other-languages"]),
    ("docs/reference/cli.md", &["lints-of-other-languages", "units-and-integration"]),
    ("ARCHITECTURE.md", &["crates-and-their-layers"]),
    ("rustfmt.toml", &["format"]),
    ("LICENSE", &[]),
    (
        "crates/metalk8s-build/tests/archive_packages.rs",
        &[
            "archive",
            "crates-and-their-layers",
            "documentation",
            "format",
            "lints",
            "packages-of-the-archive",
            "units-and-integration",
        ],
    ),
    (
        "tests/procedures/i-hostname.toml",
        &["archive", "lints-of-other-languages", "suite-procedures", "units-and-integration"],
    ),
];

/// Files that ask for all that `make test` runs.
const EVERYTHING: &[&str] = &[
    "crates/metalk8s-engine/src/state.rs",
    "crates/metalk8s-host/src/lib.rs",
    "crates/metalk8s-types/Cargo.toml",
    "crates/metalk8s-lab/src/machine.rs",
    "Cargo.lock",
    "lab",
    "scripts/doors/test",
    // What nobody has thought of, also as git writes a name that it has to quote.
    "a folder/nobody knows",
    "\"docs/two\\nlines.md\"",
];

/// A line of the plan.
struct Line {
    runs: bool,
    part: String,
    why: String,
}

/// A row of the table: its kind, its name, and its words.
struct Row {
    kind: String,
    name: String,
    words: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs the script that has a table beside it.
fn run_plan(script: &Path, paths: &[&str]) -> Output {
    let mut command = Command::new("bash");
    command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that has refused its table reads nothing.
    let _ = child.stdin.take().unwrap().write_all(paths.join("\n").as_bytes());
    child.wait_with_output().unwrap()
}

fn plan(paths: &[&str]) -> Vec<Line> {
    let output = run_plan(&root().join("scripts/tests/plan"), paths);
    assert!(output.status.success(), "{output:?}");
    let line = |line: &str| {
        let [verdict, part, why] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        assert!(["run", "leave"].contains(&verdict) && !why.is_empty(), "{line}");
        Line { runs: verdict == "run", part: part.to_owned(), why: why.to_owned() }
    };
    String::from_utf8(output.stdout).unwrap().lines().map(line).collect()
}

fn chosen(paths: &[&str]) -> BTreeSet<String> {
    plan(paths).into_iter().filter(|line| line.runs).map(|line| line.part).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn table() -> Vec<Row> {
    let text = fs::read_to_string(root().join("scripts/tests/plan.table")).unwrap();
    let rows = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let row = |line: &str| {
        let mut words = line.split_whitespace().map(str::to_owned);
        let (kind, name) = (words.next().unwrap(), words.next().unwrap());
        Row { kind, name, words: words.collect() }
    };
    rows.map(row).collect()
}

/// Names of the rows of these kinds.
fn names(kinds: &[&str]) -> Vec<String> {
    table().into_iter().filter(|row| kinds.contains(&row.kind.as_str())).map(|row| row.name).collect()
}

#[test]
fn a_file_asks_for_the_parts_that_look_at_it() {
    for (path, parts) in EXPECTED {
        assert_eq!(chosen(&[path]), set(parts), "{path}");
    }
}

#[test]
fn a_file_deep_below_or_an_unknown_one_asks_for_all_that_make_test_runs() {
    let everything: BTreeSet<String> = names(&["part"]).into_iter().collect();
    for part in ["format", "archive", "suite-install", "suite-survival"] {
        assert!(everything.contains(part), "{everything:?}");
    }
    for path in EVERYTHING {
        assert_eq!(chosen(&[path]), everything, "{path}");
        assert_eq!(chosen(&["CHANGELOG.md", path]), everything, "{path}");
    }
}

#[test]
fn files_together_ask_for_what_each_of_them_asks_for() {
    let (long, short) =
        ("crates/metalk8s-lab/src/suite/renewal.rs", "crates/metalk8s-lab/src/suite/faults.rs");
    let both = chosen(&[long, short, "README.md"]);
    let one_by_one = [chosen(&[long]), chosen(&[short]), chosen(&["README.md"])];
    assert_eq!(both, one_by_one.into_iter().flatten().collect());
    assert!(
        both.contains("suite-renewal") && both.contains("suite-faults") && !both.contains("suite-expand")
    );
}

#[test]
fn all_parts_are_told_in_their_order_with_reasons() {
    let lines = plan(&[
        "crates/metalk8s-lab/src/suite/drift/plans.rs",
        "crates/metalk8s-lab/src/suite/drift/doctor.rs",
    ]);
    assert_eq!(lines.iter().map(|line| line.part.clone()).collect::<Vec<_>>(), names(&["part", "long"]));
    let why = |part: &str| lines.iter().find(|line| line.part == part).unwrap().why.as_str();
    let row = "crates/metalk8s-lab/src/suite/drift*";
    assert_eq!(
        why("suite-drift"),
        format!("crates/metalk8s-lab/src/suite/drift/plans.rs ({row}), and 1 more")
    );
    assert_eq!(why("bootstrap-on-a-bare-machine"), "suite-drift needs it");
    assert_eq!(why("archive"), "bootstrap-on-a-bare-machine needs it");
    assert_eq!(why("suite-expand"), "no changed file asks for it");
}

#[test]
fn without_a_change_nothing_runs() {
    // Also an empty line is no path.
    for paths in [&[][..], &["", ""]] {
        let lines = plan(paths);
        assert!(lines.iter().all(|line| !line.runs && line.why == "nothing changed"));
        assert!(!lines.is_empty());
    }
}

/// The suites that a change of this file asks for.
fn suites(path: &str) -> Vec<String> {
    chosen(&[path]).into_iter().filter(|part| part.starts_with("suite-")).collect()
}

#[test]
fn a_suite_of_the_lab_that_changed_is_the_one_that_runs_unless_others_use_it() {
    let sources = "crates/metalk8s-lab/src/suite";
    for suite in SUITES {
        let name = if suite.name == "procedures" { "manual" } else { suite.name };
        let own = format!("suite-{}", suite.name);
        assert_eq!(suites(&format!("{sources}/{name}/new.rs")), [own.as_str()]);
        let mut files = vec![format!("{sources}/{name}.rs")];
        let inside = fs::read_dir(root().join(sources).join(name)).into_iter().flatten();
        files.extend(
            inside.map(|entry| {
                format!("{sources}/{name}/{}", entry.unwrap().file_name().into_string().unwrap())
            }),
        );
        for (index, file) in files.iter().enumerate() {
            let text = fs::read_to_string(root().join(file)).unwrap();
            // What others may see is said so in a suite's own file in one way, and in those below it in another.
            let shared = if index == 0 { "\npub(super) fn " } else { "pub(in " };
            let found = suites(file);
            assert!(found.contains(&own), "{file}: {found:?}");
            assert_eq!(text.contains(shared), found.len() > 1, "{file}: {found:?}");
        }
    }
}

#[test]
fn parts_are_those_that_the_door_has() {
    let door = fs::read_to_string(root().join("scripts/doors/test")).unwrap();
    let stage = |rest: &str| rest.split(['"', ',']).next().unwrap().replace(' ', "-");
    let stages: BTreeSet<String> = door.split("part \"").skip(1).map(stage).collect();
    assert_eq!(names(&["part", "long"]).into_iter().collect::<BTreeSet<_>>(), stages);
}

#[test]
fn a_crate_asks_for_no_less_than_those_that_use_it() {
    let long: BTreeSet<String> = names(&["long"]).into_iter().collect();
    let asked = |name: &str| -> BTreeSet<String> {
        chosen(&[&format!("crates/{name}/src/lib.rs")]).difference(&long).cloned().collect()
    };
    let mut parts = BTreeMap::new();
    let mut uses = Vec::new();
    for folder in fs::read_dir(root().join("crates")).unwrap() {
        let folder = folder.unwrap();
        let name = folder.file_name().into_string().unwrap();
        let manifest = fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();
        let manifest: toml::Table = toml::from_str(&manifest).unwrap();
        let used = manifest.get("dependencies").and_then(toml::Value::as_table);
        let used = used.into_iter().flat_map(toml::Table::keys).filter(|used| used.starts_with("metalk8s-"));
        uses.extend(used.map(|used| (name.clone(), used.clone())));
        parts.insert(name.clone(), asked(&name));
    }
    // The roof uses nearly all of them.
    uses.retain(|(user, _)| user != "metalk8s-cli");
    assert!(uses.len() > 20, "{uses:?}");
    for (user, used) in uses {
        let missing: Vec<&String> = parts[&user].difference(&parts[&used]).collect();
        assert!(missing.is_empty(), "{used} does not ask for {missing:?}, but {user} does, which uses it");
    }
}

#[test]
fn no_row_is_hidden_by_one_before_it() {
    for row in table().into_iter().filter(|row| row.kind == "path") {
        let path = row.name.replace('*', "x");
        let lines = plan(&[&path]);
        let own = format!("{path} ({})", row.name);
        let is_own = lines.iter().any(|line| line.why == own);
        assert_eq!(is_own, !row.words.is_empty(), "`{path}` is not decided by the row `{}`", row.name);
        assert!(is_own || lines.iter().all(|line| !line.runs), "`{path}` is decided by another row");
    }
}

#[test]
fn every_row_is_about_files_that_exist() {
    for pattern in names(&["path"]) {
        let start = pattern.split('*').next().unwrap();
        let (folder, name) = start.rsplit_once('/').unwrap_or(("", start));
        let is_there = |found: &str| if pattern == start { found == name } else { found.starts_with(name) };
        let entries = fs::read_dir(root().join(folder)).into_iter().flatten();
        let mut entries = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert!(entries.any(|found| is_there(&found)), "nothing is called `{pattern}`");
    }
}

#[test]
fn a_table_with_a_word_that_nothing_has_is_refused() {
    for (table, said) in [
        ("part one\npath * one two\n", "`two`"),
        ("part one two\npart two\n", "`two`"),
        ("set some one\n", "`one`"),
        ("part one\npaths * one\n", "`paths`"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("plan");
        fs::copy(root().join("scripts/tests/plan"), &script).unwrap();
        fs::write(folder.path().join("plan.table"), table).unwrap();
        let output = run_plan(&script, &["a"]);
        assert_eq!(output.status.code(), Some(2), "{table}{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{table}{output:?}");
        assert!(output.stdout.is_empty(), "{table}{output:?}");
    }
}

/// A repository with nothing but the script.
struct Repository(tempfile::TempDir);

impl Repository {
    fn new() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        repository.write("scripts/tests/changed", "");
        fs::copy(root().join("scripts/tests/changed"), repository.path("scripts/tests/changed")).unwrap();
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    /// A program that sees this repository and nobody's settings.
    fn command(&self, program: &str, args: &[&str]) -> Output {
        let mut command = Command::new(program);
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(name);
        }
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        command.args(args).current_dir(self.0.path()).output().unwrap()
    }

    fn git(&self, args: &[&str]) {
        let who = ["-c", "user.name=test", "-c", "user.email=test@example.org"];
        let output = self.command("git", &[&who, args].concat());
        assert!(output.status.success(), "{args:?}: {output:?}");
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message=test"]);
    }

    fn changed(&self, args: &[&str]) -> Vec<String> {
        let output = self.command("bash", &[&["scripts/tests/changed"], args].concat());
        assert!(output.status.success(), "{output:?}");
        let mut names: Vec<String> =
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        names.sort();
        names
    }
}

#[test]
fn changed_files_are_committed_ones_edited_ones_and_new_ones() {
    let repository = Repository::new();
    repository.write("edited", "1");
    repository.write("gone", "1");
    repository.write("moved", "a text that is long enough to be known again\n");
    repository.write(".gitignore", "ignored\n");
    repository.commit();
    let all = [".gitignore", "edited", "gone", "moved", "scripts/tests/changed"];
    assert_eq!(repository.changed(&[]), all, "there is no commit before the first");

    repository.write("second", "");
    repository.commit();
    assert_eq!(repository.changed(&[]), ["second"], "on main it is the last commit");

    repository.git(&["checkout", "--quiet", "-b", "topic"]);
    assert_eq!(repository.changed(&[]), [""; 0], "nothing was done on the branch");
    repository.write("committed", "");
    repository.commit();
    repository.write("edited", "2");
    repository.write("ignored", "");
    repository.write("of two wörds", "");
    fs::remove_file(repository.path("gone")).unwrap();
    repository.git(&["mv", "moved", "to"]);
    let edited = ["edited", "gone", "moved", "of two wörds", "to"];
    assert_eq!(repository.changed(&["HEAD"]), edited);
    assert_eq!(repository.changed(&[]), [&["committed"], &edited[..]].concat());
    assert_eq!(
        repository.changed(&["main~1"]),
        ["committed", "edited", "gone", "moved", "of two wörds", "second", "to"]
    );
}

#[test]
fn a_base_that_is_no_commit_is_refused() {
    let repository = Repository::new();
    repository.commit();
    let output = repository.command("bash", &["scripts/tests/changed", "nowhere"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("`nowhere`"), "{output:?}");
}
