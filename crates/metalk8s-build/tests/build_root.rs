//! Where the outputs go, as the build chain and as `scripts/doors/build-root` read it from `.env`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path, process::Command};

use metalk8s_build::settings::Settings;

/// What the build chain and what the script says with these settings; nothing where they refuse them.
fn found(settings: &str) -> [Option<String>; 2] {
    let checkout = tempfile::tempdir().unwrap();
    let root = checkout.path().canonicalize().unwrap();
    fs::write(root.join(".env"), settings).unwrap();
    let ours = Settings::read(&root).ok().map(|found| root.join(found.get("BUILD_ROOT", "_build")));

    let doors = root.join("scripts/doors");
    fs::create_dir_all(&doors).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/doors/build-root");
    fs::copy(script, doors.join("build-root")).unwrap();
    let output = Command::new("bash").arg(doors.join("build-root")).output().unwrap();
    let theirs = output.status.success().then(|| String::from_utf8(output.stdout).unwrap());

    let shown = |text: &str| text.trim_end().replace(root.to_str().unwrap(), "ROOT");
    [ours.map(|path| shown(path.to_str().unwrap())), theirs.map(|text| shown(&text))]
}

#[test]
fn programs_and_scripts_find_the_same_folder() {
    for (settings, expected) in [
        ("", Some("ROOT/_build")),
        ("export BUILD_ROOT=out", Some("ROOT/out")),
        ("# one\n  export  BUILD_ROOT='/tmp/my build' # there\nX=1\n", Some("/tmp/my build")),
        ("BUILD_ROOT=\"a\\\"b\" c\n", Some("ROOT/a\"b")),
        ("BUILD_ROOT=a\\ b\n", Some("ROOT/a b")),
        ("BUILD_ROOT='a\\b'\n", Some("ROOT/a\\b")),
        ("BUILD_ROOT=$HOME/x\n", Some("ROOT/$HOME/x")),
        ("BUILD_ROOT=\nOTHER_BUILD_ROOT=x\n", Some("ROOT/_build")),
        ("BUILD_ROOT=out\nBUILD_ROOT=later\n", Some("ROOT/later")),
        ("BUILD_ROOT='x\n", None),
    ] {
        let expected = expected.map(str::to_owned);
        assert_eq!(found(settings), [expected.clone(), expected], "{settings}");
    }
}
