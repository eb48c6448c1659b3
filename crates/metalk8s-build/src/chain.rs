//! All tasks of the build chain.

use std::process::Command;

use anyhow::bail;

use crate::{
    book, codegen, command, components, conformance,
    context::Context,
    format, images, iso, layers, licences, lint, packaging, pin, populate, program,
    runner::Tasks,
    sbom,
    task::{Kind, Outcome, Task},
    vagrant,
};

/// Tools of the build, by the Debian package that brings them.
const TOOLS: [(&str, &str); 6] = [
    ("apt-get", "apt"),
    ("cargo", "rustup"),
    ("dpkg-deb", "dpkg"),
    ("git", "git"),
    ("go", "golang"),
    ("xorriso", "xorriso"),
];

/// All tasks by name.
pub fn tasks(ctx: &Context) -> anyhow::Result<Tasks> {
    let mut all = Vec::new();
    let compiler = components::compiler();
    let built: Vec<String> = populate::shipped(ctx).map(|(name, _)| components::task_name(name)).collect();
    all.extend(components::tasks(ctx, &compiler));
    all.push(Task::group("components", "build the upstream programs", built.clone()));
    all.push(program::task(ctx)?);
    let mut shared = layers::read_all(ctx)?;
    let layer_tasks = layers::tasks(ctx, &shared)?;
    let mut pictures = images::read_all(ctx)?;
    let image_tasks = images::tasks(ctx, &pictures, &shared)?;
    all.push(pin::task(&shared));
    all.push(conformance::task(ctx, &pictures)?);
    shared.retain(|_, layer| !layer.for_tests);
    pictures.retain(|_, image| !image.for_tests);
    let names = |tasks: &[Task]| tasks.iter().map(|task| task.name.clone()).collect::<Vec<_>>();
    // Layers by themselves too: what is in them belongs into the bill of materials.
    let written: Vec<String> = shared.keys().map(|name| layers::task_name(name)).collect();
    let assembled: Vec<String> = pictures.keys().map(|name| images::task_name(name)).collect();
    all.extend(layer_tasks);
    all.extend(image_tasks);
    all.push(Task::group("images", "assemble the images", assembled.clone()));
    let licence_tasks = licences::tasks(ctx, &shared)?;
    let stated = names(&licence_tasks);
    all.extend(licence_tasks);
    let addons = populate::addon_tasks(ctx);
    let compiled = [built.as_slice(), &[program::TASK.to_owned()]].concat();
    all.push(packaging::task(ctx, compiled)?);
    let mut content: Vec<String> = [built, written, assembled].concat();
    content.extend([program::TASK, populate::PACKAGING].map(str::to_owned));
    all.push(sbom::task(ctx, [content.clone(), stated].concat()));
    content.extend([sbom::TASK, book::TASK].map(str::to_owned));
    all.extend(book::tasks(ctx));
    content.extend(names(&addons));
    all.extend(addons);
    all.push(populate::task(ctx, content)?);
    all.push(iso::task(ctx));
    let about = "build what knows the states of a node: they are part of our program";
    all.push(Task::group("salt_tree", about, vec![program::TASK.to_owned()]));
    all.extend(lint::tasks());
    all.extend(format::tasks());
    all.extend(codegen::tasks());
    all.extend(vagrant::tasks());
    all.extend(check_tasks());
    let mut tasks = Tasks::new();
    for task in all {
        if let Some(double) = tasks.insert(task.name.clone(), task) {
            bail!("two tasks are called `{}`", double.name);
        }
    }
    Ok(tasks)
}

/// The tasks that a word on the command line means: a name, or a pattern with `*`.
pub fn select(tasks: &Tasks, word: &str) -> anyhow::Result<Vec<String>> {
    if !word.contains('*') {
        return Ok(vec![word.to_owned()]);
    }
    let found: Vec<String> = tasks.keys().filter(|name| matches(word, name)).cloned().collect();
    if found.is_empty() {
        bail!("no task is called like `{word}`; `./doit.sh list --all --private` shows all");
    }
    Ok(found)
}

fn matches(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == name };
    let Some(rest) = name.strip_prefix(before) else { return false };
    (0..=rest.len()).any(|at| rest.is_char_boundary(at) && matches(after, &rest[at..]))
}

fn check_tasks() -> Vec<Task> {
    let mut tasks: Vec<Task> = TOOLS
        .iter()
        .map(|(tool, package)| {
            let action = move |_: &crate::task::Step<'_>| {
                let found = command::output(Command::new("sh").args(["-c", &format!("command -v {tool}")]));
                match found {
                    Ok(_) => Ok(Outcome::Done),
                    Err(_) => bail!("`{tool}` is not installed; on Debian: `apt-get install {package}`"),
                }
            };
            let about = format!("check that {tool} is installed");
            Task::new(format!("check_for:{tool}"), about, Kind::Always(Box::new(action)))
        })
        .collect();
    let names = tasks.iter().map(|task| task.name.clone()).collect();
    tasks.push(Task::group("check_for", "check that the tools of the build are installed", names));
    tasks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_part_of_a_name() {
        for (pattern, name, expected) in [
            ("images:*", "images:etcd", true),
            ("*:etcd", "components:etcd", true),
            ("_build_deb:*/control", "_build_deb:kubelet/control", true),
            ("images:*", "images", false),
            ("i*s:*d", "images:etcd", true),
            ("i*s:*d", "images:etcdx", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
