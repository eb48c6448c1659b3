//! Brings the sources into their form, one subtask per language that has a formatter.

use std::process::Command;

use crate::task::{Kind, Outcome, Step, Task};

/// `format` and its subtasks.
pub fn tasks() -> Vec<Task> {
    let mut tasks = vec![
        Task::new("format:go", "gofmt over components/", Kind::Always(Box::new(go))),
        Task::new("format:rust", "rustfmt over all crates", Kind::Always(Box::new(rust))),
    ];
    let names = tasks.iter().map(|task| task.name.clone()).collect();
    tasks.push(Task::group("format", "bring the sources into their form", names));
    tasks
}

fn go(step: &Step<'_>) -> anyhow::Result<Outcome> {
    let mut command = Command::new(step.ctx.settings.get("GOFMT_BIN", "gofmt"));
    step.log.run(command.args(["-l", "-w"]).arg(step.ctx.root.join("components")))?;
    Ok(Outcome::Done)
}

fn rust(step: &Step<'_>) -> anyhow::Result<Outcome> {
    step.log.run(Command::new("cargo").args(["fmt", "--all"]).current_dir(&step.ctx.root))?;
    Ok(Outcome::Done)
}
