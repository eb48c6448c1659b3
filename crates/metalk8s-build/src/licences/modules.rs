//! Licences of the Go modules that are linked into a component, from the files at the modules' roots.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::{UNKNOWN, all_of, is_valid, recognise::Recogniser};
use crate::{
    command, components,
    context::Context,
    populate,
    task::{Outcome, Step, Task},
    versions::Component,
};

const RECIPE: &str =
    concat!(include_str!("../licences.rs"), include_str!("modules.rs"), include_str!("recognise.rs"));
const RESULT: &str = "modules.json";
/// How the files are called that state a licence, up to a mark such as in `LICENSE-MIT` or `COPYING.md`.
const STATEMENTS: [&str; 5] = ["license", "licence", "licenses", "copying", "unlicense"];
/// Lists of others, programs, and the licence of documents: not the licence of what is linked in.
const OTHERS: [&str; 4] = [".csv", ".go", ".docs", ".json"];

/// One module inside a component.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Licensed {
    /// Such as `golang.org/x/net`.
    pub path: String,
    /// Such as `v0.54.0`.
    pub version: String,
    /// SPDX expression, or [`UNKNOWN`].
    pub license: String,
}

/// What the Go compiler noted of a module in a program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Linked {
    path: String,
    version: String,
    /// `h1:` of its files; a module taken from a folder has none.
    sum: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Fetched {
    path: String,
    version: String,
    dir: PathBuf,
    sum: String,
}

/// Name of the task for the component `name`.
pub fn task_name(name: &str) -> String {
    format!("_licences:{name}")
}

/// One task per shipped component. It is apart from the component's own, which takes minutes.
pub(super) fn tasks(ctx: &Context) -> anyhow::Result<Vec<Task>> {
    let lock = fs::read_to_string(ctx.root.join("Cargo.lock")).context("could not read Cargo.lock")?;
    let texts = lock.split("\n\n").find(|package| package.contains("name = \"spdx\"\n"));
    let texts = texts.context("Cargo.lock does not name the crate that knows licences")?;
    let task = |(name, _): (&str, &str)| {
        let component: Component = ctx.versions.components[name].clone();
        let needed = components::task_name(name);
        let about = format!("find out the licences of what is linked into {name}");
        let built = needed.clone();
        let task = Task::stored(task_name(name), about, move |step| {
            build(step, step.input(&built)?, component.programs.keys())
        });
        Task { tasks: vec![needed], facts: vec![RECIPE.to_owned(), texts.to_owned()], guess: 15, ..task }
    };
    Ok(populate::shipped(ctx).map(task).collect())
}

/// Reads the result of a task.
pub fn read(folder: &Path) -> anyhow::Result<BTreeSet<Licensed>> {
    let bytes = fs::read(folder.join(RESULT)).context("a component has no list of modules")?;
    serde_json::from_slice(&bytes).context("a component's list of modules is not readable")
}

fn build<'a>(
    step: &Step<'_>,
    built: &Path,
    programs: impl Iterator<Item = &'a String>,
) -> anyhow::Result<Outcome> {
    let (mut linked, mut licensed) = (BTreeSet::new(), BTreeSet::new());
    for program in programs {
        let text = command::text(Command::new("go").args(["version", "-m"]).arg(built.join(program)))?;
        linked.extend(parse(&text));
        licensed.extend(standard_library(&text));
    }
    let folders = fetch(step, &linked)?;
    let recogniser = Recogniser::new();
    let mut known = BTreeMap::new();
    for Linked { path, version, sum: _ } in linked {
        let license = match folders.get(&(path.clone(), version.clone())) {
            Some(folder) => license(&recogniser, folder, &mut known)
                .with_context(|| format!("could not read the licence of `{path}`"))?,
            None => UNKNOWN.to_owned(),
        };
        licensed.insert(Licensed { path, version, license });
    }
    fs::write(step.out.join(RESULT), serde_json::to_vec_pretty(&licensed)?)
        .context("could not write the list of modules")?;
    Ok(Outcome::Done)
}

fn parse(text: &str) -> BTreeSet<Linked> {
    let mut modules: Vec<Linked> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["dep" | "=>", path, version, ref rest @ ..] = words[..] else { continue };
        if words[0] == "=>" {
            // The line before named what this one is instead of.
            modules.pop();
        }
        let sum = rest.first().map(|sum| (*sum).to_owned());
        modules.push(Linked { path: path.to_owned(), version: version.to_owned(), sum });
    }
    modules.into_iter().collect()
}

fn standard_library(text: &str) -> Option<Licensed> {
    let version = text.lines().next()?.split("go").last()?.trim().to_owned();
    Some(Licensed { path: "stdlib".to_owned(), version, license: "BSD-3-Clause".to_owned() })
}

/// Where the files of modules are, by path and version; what the cache of Go lacks is fetched.
fn fetch(step: &Step<'_>, linked: &BTreeSet<Linked>) -> anyhow::Result<BTreeMap<(String, String), PathBuf>> {
    let wanted: Vec<&Linked> = linked.iter().filter(|module| module.sum.is_some()).collect();
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let go = |json: &[&str]| {
        let mut command = Command::new("go");
        command
            // Outside of all modules: no go.mod says what to take instead.
            .current_dir(step.out)
            .args(["mod", "download"])
            .args(json)
            .args(wanted.iter().map(|module| format!("{}@{}", module.path, module.version)))
            .env("GOMODCACHE", step.ctx.cache.join("go/mod"))
            .env("GOFLAGS", "-modcacherw")
            .env("GOWORK", "off")
            // The program says which sums are right.
            .env("GOSUMDB", "off")
            .env("GOTOOLCHAIN", "local");
        command
    };
    // Twice, because only without JSON an error comes with words.
    step.log.run(&mut go(&[])).context("could not fetch the modules that a program is made of")?;
    let text = command::output(&mut go(&["-json"]))?;
    let mut folders = BTreeMap::new();
    for fetched in serde_json::Deserializer::from_slice(&text).into_iter::<Fetched>() {
        let Fetched { path, version, dir, sum } =
            fetched.context("what Go says of modules is not readable")?;
        let module = Linked { path, version, sum: Some(sum) };
        if !linked.contains(&module) {
            bail!("the module `{}` {} is not the one that was linked", module.path, module.version);
        }
        folders.insert((module.path, module.version), dir);
    }
    Ok(folders)
}

/// The licence that the files in a module's folder state. Several are taken as all of them: which are a choice is
/// only said in prose. One that is not recognised makes the whole unknown. `known` remembers texts: most are alike.
fn license(
    recogniser: &Recogniser,
    folder: &Path,
    known: &mut BTreeMap<String, String>,
) -> anyhow::Result<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !is_statement(&entry.file_name().to_string_lossy()) || !entry.file_type()?.is_file() {
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(entry.path())?).into_owned();
        let stated = known.entry(text).or_insert_with_key(|text| stated(recogniser, text));
        found.insert(stated.clone());
    }
    Ok(all_of(found.iter().map(String::as_str)))
}

fn stated(recogniser: &Recogniser, text: &str) -> String {
    let licences = recogniser.licences(text);
    if licences.is_empty() {
        return tagged(text).unwrap_or(UNKNOWN).to_owned();
    }
    all_of(licences)
}

/// What the line that SPDX has for this says, in a file that explains the licence.
fn tagged(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("SPDX-License-Identifier:")?;
    let expression = rest.lines().next()?.trim_matches([' ', '`', '*', '/']);
    is_valid(expression).then_some(expression)
}

fn is_statement(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let stem = name.split(['.', '-', '_']).next().unwrap_or_default();
    STATEMENTS.contains(&stem) && !OTHERS.iter().any(|other| name.ends_with(other))
}

#[cfg(test)]
mod tests;
