//! Checks of the sources, one subtask per language.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use walkdir::WalkDir;

use crate::{
    book, command,
    context::Context,
    graph,
    task::{Kind, Outcome, Step, Task},
};

type Check = fn(&Step<'_>) -> anyhow::Result<Outcome>;

/// Folders in which nothing is looked at: what is built, and what is wrong on purpose.
const LEFT_OUT: [&str; 4] = ["invalid", "node_modules", "seeds", "target"];

const CHECKS: [(&str, &str, Check, u64); 6] = [
    ("lint:go", "gofmt", go, 1),
    ("lint:graph", "crates use lower layers only", crates, 1),
    ("lint:rust", "rustfmt and clippy", rust, 120),
    ("lint:shell", "shellcheck, or at least the shell's own check", shell, 1),
    ("lint:toml", "every TOML file can be read", toml, 1),
    ("lint:yaml", "every YAML file can be read", yaml, 1),
];

/// `lint` and its subtasks.
pub fn tasks() -> Vec<Task> {
    let task = |(name, about, check, guess): (&str, &str, Check, u64)| Task {
        guess,
        ..Task::new(name, about, Kind::Always(Box::new(check)))
    };
    let mut tasks: Vec<Task> = CHECKS.into_iter().map(task).collect();
    let about = "every page of the book is reached, and its links lead somewhere";
    // Rendering the book is the check.
    let markdown = Task::new("lint:markdown", about, Kind::Always(Box::new(|_| Ok(Outcome::Done))));
    tasks.push(Task { tasks: vec![book::TASK.to_owned()], ..markdown });
    let names = tasks.iter().map(|task| task.name.clone()).collect();
    tasks.push(Task::group("lint", "check the sources", names));
    tasks
}

fn go(step: &Step<'_>) -> anyhow::Result<Outcome> {
    let mut command = Command::new(step.ctx.settings.get("GOFMT_BIN", "gofmt"));
    let wrong = command::text(command.arg("-l").arg(step.ctx.root.join("components")))?;
    if wrong.is_empty() { Ok(Outcome::Done) } else { bail!("gofmt would change:\n{wrong}") }
}

fn crates(step: &Step<'_>) -> anyhow::Result<Outcome> {
    let crates = graph::read(&step.ctx.root)?;
    graph::check(&crates)?;
    Ok(Outcome::Done)
}

fn rust(step: &Step<'_>) -> anyhow::Result<Outcome> {
    let cargo = |args: &[&str]| {
        let mut command = Command::new("cargo");
        step.log.run(command.args(args).current_dir(&step.ctx.root))
    };
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    Ok(Outcome::Done)
}

fn shell(step: &Step<'_>) -> anyhow::Result<Outcome> {
    let mut scripts = Vec::new();
    for file in files(step.ctx)? {
        if is_shell(&file)? {
            scripts.push(file);
        }
    }
    for script in &scripts {
        step.log.run(Command::new("bash").arg("-n").arg(script))?;
    }
    if command::output(Command::new("sh").args(["-c", "command -v shellcheck"])).is_err() {
        return Ok(Outcome::Warned("shellcheck is not installed, scripts were only parsed".to_owned()));
    }
    if !scripts.is_empty() {
        step.log.run(Command::new("shellcheck").arg("--severity=warning").args(&scripts))?;
    }
    Ok(Outcome::Done)
}

fn toml(step: &Step<'_>) -> anyhow::Result<Outcome> {
    for file in files(step.ctx)?.iter().filter(|file| has_extension(file, &["toml"])) {
        let text = fs::read_to_string(file)?;
        toml::from_str::<toml::Table>(&text).with_context(|| format!("`{}` is not TOML", file.display()))?;
    }
    Ok(Outcome::Done)
}

fn yaml(step: &Step<'_>) -> anyhow::Result<Outcome> {
    for file in files(step.ctx)?.iter().filter(|file| has_extension(file, &["yaml", "yml"])) {
        let text = fs::read_to_string(file)?;
        serde_saphyr::from_multiple::<serde_json::Value>(&text)
            .with_context(|| format!("`{}` is not YAML", file.display()))?;
    }
    Ok(Outcome::Done)
}

fn has_extension(file: &Path, extensions: &[&str]) -> bool {
    file.extension().is_some_and(|found| extensions.iter().any(|wanted| found == *wanted))
}

/// Front doors have no extension: their first line tells.
fn is_shell(file: &Path) -> anyhow::Result<bool> {
    if file.extension().is_some() {
        return Ok(has_extension(file, &["sh"]));
    }
    let mut start = Vec::new();
    let open = File::open(file).with_context(|| format!("could not read `{}`", file.display()))?;
    open.take(64).read_to_end(&mut start)?;
    let first = String::from_utf8_lossy(start.split(|byte| *byte == b'\n').next().unwrap_or_default());
    Ok(first.starts_with("#!") && first.ends_with("sh"))
}

/// Files of the repository, without hidden ones, what is built, and what is wrong on purpose.
fn files(ctx: &Context) -> anyhow::Result<Vec<PathBuf>> {
    let is_wanted = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        let is_left_out = name.starts_with('.') || LEFT_OUT.contains(&name.as_ref());
        entry.depth() == 0 || !(is_left_out || entry.path() == ctx.build_root)
    };
    let mut found = Vec::new();
    for entry in WalkDir::new(&ctx.root).sort_by_file_name().into_iter().filter_entry(is_wanted) {
        let entry = entry.context("could not walk the repository")?;
        if entry.file_type().is_file() {
            found.push(entry.into_path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_known_by_their_name_or_their_first_line() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text, expected) in [
            ("a.sh", "", true),
            ("door", "#!/usr/bin/env bash\necho\n", true),
            ("old", "#!/bin/sh", true),
            ("snake", "#!/usr/bin/env python3\n", false),
            ("a.txt", "#!/bin/sh\n", false),
            ("plain", "no bash\n", false),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            assert_eq!(is_shell(&path).unwrap(), expected, "{name}");
        }
    }
}
