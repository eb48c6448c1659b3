//! Whatever goes wrong has a code, which `metalk8s explain` knows.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use metalk8s_diagnostics::explain;

fn metalk8s(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_metalk8s")).args(words).output().unwrap()
}

/// Codes in a text, in their order.
fn codes(text: &str) -> Vec<&str> {
    let code = |part: &str| part.len() >= 4 && part.as_bytes()[..4].iter().all(u8::is_ascii_digit);
    text.match_indices("MK")
        .filter(|(at, _)| code(&text[at + 2..]))
        .map(|(at, _)| &text[at..at + 6])
        .collect()
}

#[test]
fn every_error_of_a_command_has_a_code_and_leads_to_its_explanation() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "no plan").unwrap();
    let file = file.to_str().unwrap();
    let missing = format!("{file}.missing");
    for (words, status, code) in [
        (&["--nonsense"][..], 2, "MK1003"),
        (&["nonsense"], 2, "MK1003"),
        (&["node", "deploy"], 2, "MK1003"),
        (&["explain", "MK9999"], 2, "MK1003"),
        (&["--quiet", "explain", "MK9999"], 2, "MK1003"),
        (&["salt-call", "test.pign"], 2, "MK1003"),
        (&["salt-call", "--file-root", "", "test.ping"], 2, "MK1003"),
        (&["salt-run", "manage.stauts"], 2, "MK1003"),
        (&["apply", &missing], 1, "MK1009"),
        (&["apply", file], 1, "MK1507"),
        (&["run", "list", "--journals", file], 1, "MK1009"),
        (&["run", "show", "20260112071130203596", "--journals", &missing], 1, "MK1008"),
        (&["apiserver-proxy", "--backends-file", &missing, "--listen", "127.0.0.1:0"], 1, "MK1009"),
    ] {
        let output = metalk8s(words);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{words:?}: {stderr}");
        assert_eq!(codes(&stderr).last(), Some(&code), "{words:?}: {stderr}");
        assert!(stderr.contains(&format!("`metalk8s explain {code}` tells")), "{words:?}: {stderr}");
        assert!(explain::explain(code).is_some(), "{code}");
    }
}

#[test]
fn what_an_archive_lacks_has_a_code_on_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let output = metalk8s(&["archive", "verify", folder.path().to_str().unwrap()]);
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
    assert!(stdout.lines().all(|line| line.ends_with(" (MK1302)")), "{stdout}");
    assert!(stderr.contains("`metalk8s explain MK1302`"), "{stderr}");
}

/// Rust sources of the product below a folder, without the explanations themselves and what only tests compile.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !["explain", "tests", "metalk8s-lab", "target"].contains(&name) {
            sources(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

#[test]
fn every_code_is_told_by_something() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut constants: BTreeMap<String, String> = BTreeMap::new();
    for entry in fs::read_dir(crates.join("metalk8s-diagnostics/src/explain")).unwrap() {
        for line in fs::read_to_string(entry.unwrap().path()).unwrap().lines() {
            let parts: Vec<&str> = line.trim().split(['=', '"']).map(str::trim).collect();
            if let [name, _, code, ..] = parts[..]
                && code.starts_with("MK")
            {
                constants.insert(name.to_owned(), code.to_owned());
            }
        }
    }
    assert_eq!(constants.len(), explain::all().count(), "not all constants were found: {constants:?}");
    let mut paths = Vec::new();
    sources(crates, &mut paths);
    let code_only = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
    };
    let all: String = paths.iter().map(code_only).collect();
    let unused: Vec<_> = constants.iter().filter(|(name, _)| !all.contains(name.as_str())).collect();
    assert!(unused.is_empty(), "nothing tells these: {unused:?}");
}
