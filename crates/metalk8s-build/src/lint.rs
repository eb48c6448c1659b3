//! Checks of the sources, one subtask per language.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, bail};
use walkdir::WalkDir;

use crate::{
    command,
    context::Context,
    graph,
    task::{Kind, Outcome, Step, Task},
};

type Check = fn(&Step<'_>) -> anyhow::Result<Outcome>;

const CHECKS: [(&str, &str, Check, u64); 5] = [
    ("lint:go", "gofmt", go, 1),
    ("lint:graph", "crates use lower layers only", crates, 1),
    ("lint:rust", "rustfmt and clippy", rust, 120),
    ("lint:shell", "shellcheck, or at least the shell's own check", shell, 1),
    ("lint:yaml", "every YAML file can be read", yaml, 1),
];

/// `lint` and its subtasks.
pub fn tasks() -> Vec<Task> {
    let task = |(name, about, check, guess): (&str, &str, Check, u64)| Task {
        guess,
        ..Task::new(name, about, Kind::Always(Box::new(check)))
    };
    let mut tasks: Vec<Task> = CHECKS.into_iter().map(task).collect();
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
    let files = files(step.ctx, &["sh"])?;
    for file in &files {
        step.log.run(Command::new("bash").arg("-n").arg(file))?;
    }
    if command::output(Command::new("sh").args(["-c", "command -v shellcheck"])).is_err() {
        return Ok(Outcome::Warned("shellcheck is not installed, scripts were only parsed".to_owned()));
    }
    if !files.is_empty() {
        step.log.run(Command::new("shellcheck").args(&files))?;
    }
    Ok(Outcome::Done)
}

fn yaml(step: &Step<'_>) -> anyhow::Result<Outcome> {
    for file in files(step.ctx, &["yaml", "yml"])? {
        let text = fs::read_to_string(&file)?;
        serde_saphyr::from_multiple::<serde_json::Value>(&text)
            .with_context(|| format!("`{}` is not YAML", file.display()))?;
    }
    Ok(Outcome::Done)
}

/// Files of the repository with one of these extensions, without what is built or only tests wrong input.
fn files(ctx: &Context, extensions: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in ["", "addons", "docs", "examples", "scripts", "tests"] {
        let depth = if folder.is_empty() { 1 } else { 16 };
        let folder = ctx.root.join(folder);
        if !folder.is_dir() {
            continue;
        }
        for entry in WalkDir::new(folder).max_depth(depth).sort_by_file_name() {
            let path = entry.context("could not walk the repository")?.into_path();
            let wanted =
                path.extension().is_some_and(|found| extensions.iter().any(|wanted| found == *wanted));
            let broken = path.components().any(|part| part.as_os_str() == "invalid");
            if wanted && !broken && path.is_file() {
                found.push(path);
            }
        }
    }
    Ok(found)
}
