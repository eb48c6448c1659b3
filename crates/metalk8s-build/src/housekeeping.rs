//! What people ask about tasks (`list`, `info`) and how they undo them (`clean`).

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context as _;

use crate::{
    context::Context,
    runner::{Runner, Tasks},
    store::Store,
    task::{Kind, Task},
};

/// Prints names and descriptions: `all` adds subtasks, `private` hidden tasks.
pub fn list(tasks: &Tasks, all: bool, private: bool, out: &mut dyn Write) -> io::Result<()> {
    let shown = |task: &&Task| (all || !task.is_subtask()) && (private || task.is_public());
    let shown: Vec<&Task> = tasks.values().filter(shown).collect();
    let width = shown.iter().map(|task| task.name.len()).max().unwrap_or(0);
    for task in shown {
        writeln!(out, "{:width$}   {}", task.name, task.about)?;
    }
    Ok(())
}

/// Prints all that is known of one task.
pub fn info(runner: &Runner<'_>, name: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    let up_to_date = runner.is_up_to_date(name)?;
    let task = &runner.tasks[name];
    let status = if up_to_date { "up-to-date" } else { "run" };
    writeln!(out, "\n{name}\n\n{}\n\nstatus     : {status}", task.about)?;
    let root = &runner.ctx.root;
    let files = task.files.iter().map(|path| path.strip_prefix(root).unwrap_or(path).display().to_string());
    let targets = targets(runner, task)?.into_iter().map(|path| path.display().to_string());
    section(out, "file_dep", files.collect())?;
    section(out, "task_dep", task.tasks.clone())?;
    section(out, "targets", targets.collect())?;
    Ok(())
}

fn section(out: &mut dyn Write, title: &str, mut lines: Vec<String>) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    lines.sort();
    writeln!(out, "\n{title:11}:")?;
    lines.iter().try_for_each(|line| writeln!(out, " - {line}"))
}

/// What a task makes.
fn targets(runner: &Runner<'_>, task: &Task) -> anyhow::Result<Vec<PathBuf>> {
    Ok(match &task.kind {
        Kind::Group | Kind::Always(_) => Vec::new(),
        Kind::Placed(targets, _) => targets.clone(),
        Kind::Stored(_) => {
            let keys = runner.keys(std::slice::from_ref(&task.name))?;
            vec![Store::path(&runner.ctx.cache, &keys[&task.name])]
        }
    })
}

/// Removes the build root, or with `wanted` only what these tasks made. `dry_run` only says what it would remove.
/// The shared cache keeps everything that no task was named for.
pub fn clean(
    runner: &Runner<'_>,
    wanted: &[String],
    dry_run: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut paths = BTreeSet::new();
    if wanted.is_empty() {
        paths.insert(runner.ctx.build_root.clone());
    }
    for name in members(runner, wanted)? {
        let task = &runner.tasks[&name];
        paths.extend(targets(runner, task)?);
        if name == crate::populate::TASK {
            paths.insert(runner.ctx.iso_root());
        }
    }
    for path in paths.into_iter().filter(|path| path.exists()) {
        if dry_run {
            writeln!(out, "would remove `{}`", path.display())?;
            continue;
        }
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| format!("could not remove `{}`", path.display()))?;
        writeln!(out, "removed `{}`", path.display())?;
    }
    Ok(())
}

/// The tasks, and the members of those that are groups.
fn members(runner: &Runner<'_>, wanted: &[String]) -> anyhow::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut waiting = wanted.to_vec();
    while let Some(name) = waiting.pop() {
        let task = runner.tasks.get(&name).with_context(|| format!("there is no task `{name}`"))?;
        if let Kind::Group = task.kind {
            waiting.extend(task.tasks.iter().cloned());
        }
        found.insert(name);
    }
    Ok(found)
}

/// Frees the cache of what no build used for long, never of what `runner`'s own tasks use now.
pub fn tidy(ctx: &Context, runner: &Runner<'_>) -> anyhow::Result<u64> {
    let names: Vec<String> = runner.tasks.keys().cloned().collect();
    let used: BTreeSet<String> = runner.keys(&names)?.into_values().collect();
    Store::open(&ctx.cache)?.tidy(&|key| used.contains(key))
}
