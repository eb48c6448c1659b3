//! The scripts behind the front doors, with small programs in the place of those that they start.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use metalk8s_diagnostics::Durations;
use tempfile::TempDir;

/// What the scripts need of any computer.
const TOOLS: [&str; 6] = ["cat", "cut", "dirname", "id", "sed", "sort"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn write_script(path: &Path, commands: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let _ = fs::remove_file(path);
    fs::write(path, format!("#!/bin/sh\n{commands}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn said(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap()
}

/// Gives another checkout these doors of this one.
fn copy_doors(checkout: &Path, names: &[&str]) {
    for name in names {
        let door = Path::new("scripts/doors").join(name);
        fs::create_dir_all(checkout.join("scripts/doors")).unwrap();
        fs::copy(root().join(&door), checkout.join(&door)).unwrap();
    }
}

/// The names of what is in a folder, hidden or not.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The value at these keys of a file of this checkout.
fn value(file: &str, keys: &[&str]) -> String {
    let table: toml::Table = toml::from_str(&fs::read_to_string(root().join(file)).unwrap()).unwrap();
    let mut value = &toml::Value::Table(table);
    for key in keys {
        value = &value[*key];
    }
    value.as_str().unwrap().to_owned()
}

/// A computer without a compiler, and with an `apt-get` that notes what it is told.
struct Computer(TempDir);

impl Computer {
    fn new(user: u32) -> Self {
        let computer = Self(tempfile::tempdir().unwrap());
        fs::create_dir(computer.0.path().join("bin")).unwrap();
        for tool in TOOLS {
            symlink(Path::new("/usr/bin").join(tool), computer.0.path().join("bin").join(tool)).unwrap();
        }
        computer.has("id", &format!("echo {user}"));
        computer.has("apt-get", &format!("echo \"$@\" >> {}", computer.told().display()));
        computer
    }

    fn told(&self) -> PathBuf {
        self.0.path().join("told")
    }

    fn has(&self, program: &str, commands: &str) {
        write_script(&self.0.path().join("bin").join(program), commands);
    }

    fn prepare(&self, what: &str) -> Output {
        let mut command = Command::new("/bin/bash");
        command.arg(root().join("scripts/doors/prepare")).arg(what).env_clear();
        command.env("PATH", self.0.path().join("bin")).env("HOME", self.0.path()).output().unwrap()
    }
}

#[test]
fn who_is_not_root_is_told_what_is_missing_and_the_whole_command() {
    let computer = Computer::new(1000);
    let output = computer.prepare("build");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = said(&output);
    let missing = said.lines().find_map(|line| line.strip_prefix("error: packages are missing: ")).unwrap();
    for package in ["gcc", "git", "libc6-dev", "libseccomp-dev", "make", "pkg-config", "xorriso"] {
        assert!(missing.split(' ').any(|word| word == package), "{package}: {said}");
    }
    let install = "sudo apt-get install --yes --no-install-recommends";
    assert!(said.contains(&format!("hint: run `sudo apt-get update && {install} {missing}`")), "{said}");
    assert!(!computer.told().exists(), "something was installed");
}

#[test]
fn root_has_it_installed_and_is_told_how_to_get_rust() {
    let computer = Computer::new(0);
    let output = computer.prepare("build");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = fs::read_to_string(computer.told()).unwrap();
    let told: Vec<&str> = told.lines().collect();
    assert!(told.len() == 2 && told[0].ends_with(" update"), "{told:?}");
    assert!(told[1].starts_with("install --yes") && told[1].contains(" gcc "), "{told:?}");

    let needed = value("Cargo.toml", &["workspace", "package", "rust-version"]);
    let text = said(&output);
    assert!(
        text.contains(&format!("error: Rust {needed} or later is needed; this computer has none")),
        "{text}"
    );
    // There is no curl either, and no sudo is asked for.
    assert!(text.contains("hint: run `apt-get update && apt-get install"), "{text}");
    assert!(text.contains(&format!("sh -s -- -y --default-toolchain {needed}`")), "{text}");

    computer.has("rustup", "exit 0");
    computer.has("cargo", "exit 0");
    computer.has("rustc", "echo rustc 1.63.0");
    let text = said(&computer.prepare("build"));
    let hint = format!("hint: run `rustup toolchain install {needed} && rustup default {needed}`");
    assert!(text.contains("this computer has 1.63.0") && text.contains(&hint), "{text}");
}

#[test]
fn who_has_another_go_is_told_how_to_get_the_one_that_is_needed() {
    let computer = Computer::new(0);
    computer.has("cargo", "exit 0");
    computer.has("rustc", "echo rustc 9999.0.0");
    computer.has("curl", "exit 0");
    let needed = value("versions.toml", &["go", "version"]);
    let archive = format!("https://go.dev/dl/go{needed}.linux-amd64.tar.gz | tar ");
    let fetch = format!("GOTOOLCHAIN=go{needed} go env GOROOT");
    // The last one is Debian 12's, which fetches no other version of itself.
    for (found, hint) in [("1.21.0", &fetch), ("1.19.8", &archive)] {
        computer.has("go", &format!("echo go version go{found} linux/amd64"));
        let output = computer.prepare("build");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let text = said(&output);
        assert!(text.contains(&format!("Go {needed} is needed; this computer has go{found}")), "{text}");
        assert!(text.contains(hint.as_str()), "{text}");
    }
    computer.has("go", &format!("echo go version go{needed} linux/amd64"));
    let output = computer.prepare("build");
    assert!(output.status.success(), "{output:?}");
}

/// A checkout with what `scripts/doors/compiled` reads, beside a folder for caches.
fn compiled_checkout(folder: &Path, name: &str) -> PathBuf {
    let checkout = folder.join(name);
    for file in
        ["scripts/doors/cache", "scripts/doors/compiled", "Cargo.toml", "Cargo.lock", ".cargo/config.toml"]
    {
        fs::create_dir_all(checkout.join(file).parent().unwrap()).unwrap();
        fs::copy(root().join(file), checkout.join(file)).unwrap();
    }
    checkout
}

fn compiled(checkout: &Path, verb: &str) {
    let mut command = Command::new("bash");
    command.arg(checkout.join("scripts/doors/compiled")).arg(verb).env_remove("CARGO_TARGET_DIR");
    let output = command.env("METALK8S_CACHE", checkout.parent().unwrap().join("cache")).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_clone_begins_with_what_was_compiled_before_and_with_nothing_on_a_fresh_computer() {
    let folder = tempfile::tempdir().unwrap();
    let first = compiled_checkout(folder.path(), "first");
    compiled(&first, "take");
    assert!(!first.join("target").exists());

    let library = "target/debug/deps/libserde-0.rlib";
    for file in [library, "target/debug/deps/libmetalk8s_types-0.rlib", "target/debug/build/a/output"] {
        fs::create_dir_all(first.join(file).parent().unwrap()).unwrap();
        fs::write(first.join(file), file).unwrap();
    }
    fs::create_dir_all(first.join("target/debug/.fingerprint")).unwrap();
    compiled(&first, "keep");

    let second = compiled_checkout(folder.path(), "second");
    compiled(&second, "take");
    assert_eq!(fs::read_to_string(second.join(library)).unwrap(), library);
    assert!(!second.join("target/debug/deps/libmetalk8s_types-0.rlib").exists());

    // What was kept for other versions is a beginning, too.
    let other = compiled_checkout(folder.path(), "other");
    fs::write(other.join("Cargo.lock"), "").unwrap();
    compiled(&other, "take");
    assert!(other.join(library).exists());
}

/// A checkout with two benchmarks.
fn benchmarks() -> TempDir {
    let checkout = tempfile::tempdir().unwrap();
    let path = |name: &str| checkout.path().join(name);
    for name in ["scripts/doors/prepare", "doit.sh"] {
        write_script(&path(name), "exit 0");
    }
    for name in ["one", "two"] {
        let row = format!("echo 'of {name}|must|seen|ok' >> \"$METALK8S_BENCH_TABLE\"");
        write_script(&path("benchmarks").join(name).join("run.sh"), &row);
    }
    copy_doors(checkout.path(), &["bench", "build-root", "cache", "durations"]);
    checkout
}

fn bench(checkout: &TempDir, names: &[&str]) -> Output {
    let door = checkout.path().join("scripts/doors/bench");
    let cache = checkout.path().join("cache");
    Command::new("bash").arg(door).args(names).env("METALK8S_CACHE", cache).output().unwrap()
}

#[test]
fn all_benchmarks_run_or_those_that_are_named() {
    let checkout = benchmarks();
    for (names, ran) in [(&[][..], [true, true]), (&["two"], [false, true]), (&["two", "one"], [true, true])]
    {
        let output = bench(&checkout, names);
        assert!(output.status.success(), "{output:?}");
        let text = said(&output);
        assert_eq!(["of one", "of two"].map(|row| text.contains(row)), ran, "{names:?}: {text}");
    }
}

#[test]
fn a_benchmark_that_there_is_not_is_refused_before_anything_runs() {
    let checkout = benchmarks();
    for name in ["oen", "../benchmarks/one", "one two"] {
        let output = bench(&checkout, &["one", name]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let text = said(&output);
        assert_eq!(text, format!("error: there is no benchmark `{name}`; there are: one two\n"));
    }
    assert!(!checkout.path().join("_build").exists());
}

/// What `scripts/doors/durations` prints; without a cache, nothing says where one is.
fn durations(cache: Option<&Path>, words: &[&str]) -> String {
    let mut command = Command::new("bash");
    command.arg(root().join("scripts/doors/durations")).args(words);
    for name in ["METALK8S_CACHE", "XDG_CACHE_HOME", "HOME"] {
        command.env_remove(name);
    }
    let output = command.envs(cache.map(|cache| ("METALK8S_CACHE", cache))).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_a_step_took_is_told_the_next_time_and_programs_know_it_too() {
    let cache = tempfile::tempdir().unwrap();
    let told = |step: &str| durations(Some(cache.path()), &["tell", "test-all", step]);
    assert_eq!(told("suite-drift"), "");
    for (seconds, expected) in [
        ("0", ""),
        ("7", "about 7 s\n"),
        ("89", "about 89 s\n"),
        ("90", "about 2 min\n"),
        ("149", "about 2 min\n"),
        ("2713", "about 45 min\n"),
    ] {
        durations(Some(cache.path()), &["keep", "test-all", "suite-drift", seconds]);
        assert_eq!(told("suite-drift"), expected);
    }
    assert_eq!(told("suite-shrink"), "");
    assert_eq!(durations(Some(cache.path()), &["tell", "test-full", "suite-drift"]), "");

    let folder = cache.path().join("durations/test-all");
    assert_eq!(names_in(&folder), ["suite-drift"]);
    assert_eq!(Durations::read(&folder).of("suite-drift", 1), 2713);
    Durations::read(&folder).remember("suite-drift", Duration::from_secs(200));
    assert_eq!(told("suite-drift"), "about 3 min\n");
    fs::write(folder.join("suite-drift"), "soon\n").unwrap();
    assert_eq!(told("suite-drift"), "");
}

#[test]
fn a_cache_that_cannot_be_found_or_written_is_no_failure_of_a_step() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for cache in [None, Some(file.as_path())] {
        assert_eq!(durations(cache, &["keep", "bench", "one", "7"]), "");
        assert_eq!(durations(cache, &["tell", "bench", "one"]), "");
    }
}

#[test]
fn a_benchmark_tells_how_long_it_took_when_it_last_ended_well() {
    let checkout = benchmarks();
    write_script(&checkout.path().join("benchmarks/two/run.sh"), "exit 1");
    let output = bench(&checkout, &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let folder = checkout.path().join("cache/durations/bench");
    assert_eq!(names_in(&folder), ["one"]);

    fs::write(folder.join("one"), "200\n").unwrap();
    let text = said(&bench(&checkout, &["one"]));
    assert!(text.contains("\n== one (about 3 min)\n"), "{text}");
}

/// A checkout where all parts of `make test` but `./doit.sh` end well.
fn tests_door() -> TempDir {
    let checkout = tempfile::tempdir().unwrap();
    for program in ["bin/cargo", "scripts/doors/compiled", "scripts/doors/prepare"] {
        write_script(&checkout.path().join(program), "exit 0");
    }
    copy_doors(checkout.path(), &["cache", "durations", "test"]);
    checkout
}

fn make_test_quick(checkout: &Path) -> Output {
    let mut command = Command::new("bash");
    command.arg(checkout.join("scripts/doors/test")).arg("quick").env_remove("METALK8S_RESULTS");
    command.env("PATH", format!("{}:{}", checkout.join("bin").display(), env::var("PATH").unwrap()));
    command.env("METALK8S_CACHE", checkout.join("cache")).output().unwrap()
}

#[test]
fn make_test_tells_how_long_its_parts_and_all_of_it_took_when_they_last_ended_well() {
    let checkout = tests_door();
    let path = |name: &str| checkout.path().join(name);
    write_script(&path("doit.sh"), "[ \"$1\" != graph ]");
    let output = make_test_quick(checkout.path());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let folder = path("cache/durations/test-quick");
    let well = ["documentation", "format", "lints", "lints-of-other-languages", "units-and-integration"];
    assert_eq!(names_in(&folder), well);

    write_script(&path("doit.sh"), "exit 0");
    fs::write(folder.join("format"), "200\n").unwrap();
    fs::write(folder.join("whole"), "2713\n").unwrap();
    let output = make_test_quick(checkout.path());
    assert!(output.status.success(), "{output:?}");
    let text = said(&output);
    assert!(text.contains("\nmake test (quick): about 45 min\n"), "{text}");
    assert!(text.contains("\n== format: cargo fmt --all --check (about 3 min)\n"), "{text}");
    assert_ne!(fs::read_to_string(folder.join("whole")).unwrap(), "2713\n");
}

#[test]
fn make_test_ends_with_the_parts_that_failed_and_why() {
    let checkout = tests_door();
    let said_by = [
        "graph) seq 20; echo this was wrong >&2; exit 1 ;;",
        "lint:go) echo 'FAILED     0.1 s  the first check'; echo '  as it is'; echo 'ok         0.1 s  the second'; exit 3 ;;",
    ];
    write_script(&checkout.path().join("doit.sh"), &format!("case $1 in\n{}\nesac", said_by.join("\n")));
    let output = make_test_quick(checkout.path());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let end = lines.iter().position(|line| *line == "== FAILED: crates-and-their-layers").expect(&text);
    let expected: Vec<String> = (10..=20).map(|line| format!("  {line}")).collect();
    assert_eq!(lines[end + 1..end + 12], expected);
    let rest = [
        "  this was wrong",
        "",
        "== FAILED: lints-of-other-languages",
        "  FAILED     0.1 s  the first check",
        "    as it is",
        "",
    ];
    let seconds = lines[lines.len() - 2];
    assert!(seconds.starts_with("make test (quick) in 0 min "), "{seconds}");
    assert_eq!(lines[end + 12..lines.len() - 2], rest);
    assert_eq!(lines[lines.len() - 1], "4 passed, 2 failed");
    let log = checkout.path().join("_build/results/crates-and-their-layers.log");
    assert!(fs::read_to_string(log).unwrap().starts_with("1\n2\n"));
}
