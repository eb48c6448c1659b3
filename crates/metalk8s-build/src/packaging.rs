//! The task that makes the package repositories; [`crate::packages`] knows how.

use std::collections::BTreeMap;

use crate::{
    components,
    context::Context,
    debian::lock::WhenGone,
    packages::{self, EARLIEST_DATE, PackagesInput},
    populate, program,
    task::{Outcome, Step, Task},
};

const RECIPE: &str = include_str!("packaging.rs");

/// The task. `compiled` are the tasks whose programs are packaged.
///
/// Packages carry a constant date: a commit that changes nothing in them does not build them again.
pub fn task(ctx: &Context, compiled: Vec<String>) -> anyhow::Result<Task> {
    let when_gone = WhenGone::wanted(&ctx.settings)?;
    let action = move |step: &Step<'_>| build(step, when_gone);
    let task = Task::stored(populate::PACKAGING, "build the packages and their repositories", action);
    let own = ctx.root.join("crates/metalk8s-build/src");
    let described = ctx.root.join("crates/metalk8s-artifacts/src");
    let files = [
        ctx.root.join("packages"),
        own.join("packages"),
        own.join("packages.rs"),
        described.join("packages"),
        described.join("packages.rs"),
    ];
    let mut facts = vec![RECIPE.to_owned(), format!("{:?}", ctx.versions)];
    facts.extend(when_gone.fact());
    Ok(Task { tasks: compiled, files: files.into(), facts, guess: 90, ..task })
}

fn build(step: &Step<'_>, when_gone: WhenGone) -> anyhow::Result<Outcome> {
    let ctx = step.ctx;
    let mut programs = BTreeMap::new();
    for (name, component) in ctx.versions.components.iter().filter(|(_, row)| row.shipped) {
        let folder = step.input(&components::task_name(name))?;
        programs.extend(component.programs.keys().map(|program| (program.clone(), folder.join(program))));
    }
    programs.insert(program::PROGRAM.to_owned(), step.input(program::TASK)?.join(program::PROGRAM));
    let report = packages::build(&PackagesInput {
        definitions: &ctx.root.join("packages"),
        versions: &ctx.versions,
        programs,
        keys: &ctx.cache.join("keys"),
        cache: &ctx.cache,
        when_gone,
        epoch: EARLIEST_DATE,
        out: step.out,
        log: step.log,
    })?;
    match report.warnings.is_empty() {
        true => Ok(Outcome::Done),
        false => Ok(Outcome::Warned(report.warnings.join("; "))),
    }
}
