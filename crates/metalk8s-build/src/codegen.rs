//! Writes the pages that are made from sources. They are committed; tests and `graph --check` tell when one is old.

use std::process::Command;

use crate::{
    graph,
    task::{Kind, Outcome, Step, Task},
};

/// `codegen` and its subtasks.
pub fn tasks() -> Vec<Task> {
    let cli = Task::new("codegen:cli", "write docs/reference/cli.md", Kind::Always(Box::new(cli)));
    let mut tasks = vec![
        Task { guess: 60, ..cli },
        Task::new("codegen:graph", "draw the crates into ARCHITECTURE.md", Kind::Always(Box::new(crates))),
    ];
    let names = tasks.iter().map(|task| task.name.clone()).collect();
    tasks.push(Task::group("codegen", "write the pages that are made from sources", names));
    tasks
}

/// The command line describes itself, in a test that writes when it is asked to.
fn cli(step: &Step<'_>) -> anyhow::Result<Outcome> {
    let mut command = Command::new("cargo");
    command.args(["test", "--locked", "--package", "metalk8s-cli", "--test", "reference"]);
    step.log.run(command.env("METALK8S_WRITE", "1").current_dir(&step.ctx.root))?;
    Ok(Outcome::Done)
}

fn crates(step: &Step<'_>) -> anyhow::Result<Outcome> {
    let crates = graph::read(&step.ctx.root)?;
    graph::check(&crates)?;
    graph::write(&step.ctx.root, &graph::draw(&crates))?;
    Ok(Outcome::Done)
}
