//! Gathers the bill of materials: Go modules, Debian packages, crates.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use anyhow::Context as _;
use metalk8s_artifacts::sbom::{Bill, Package, SBOM};

use crate::{
    command, components,
    context::Context,
    images, populate, program,
    task::{Outcome, Step, Task},
};

/// Name of the task.
pub const TASK: &str = "sbom";
const RECIPE: &str = concat!(include_str!("sbom.rs"), include_str!("../../metalk8s-artifacts/src/sbom.rs"));
const UNKNOWN: &str = "NOASSERTION";

/// The task. `needed` are the tasks whose results it looks into.
pub fn task(ctx: &Context, needed: Vec<String>) -> Task {
    let task = Task::stored(TASK, "list everything that is inside the archive", build);
    let facts = vec![RECIPE.to_owned(), ctx.epoch.to_string(), ctx.version().to_owned()];
    Task { tasks: needed, facts, files: vec![ctx.root.join("Cargo.lock")], guess: 10, ..task }
}

fn build(step: &Step<'_>) -> anyhow::Result<Outcome> {
    let (ctx, mut bill) = (step.ctx, Bill::default());
    for (name, version) in populate::shipped(ctx) {
        let component = &ctx.versions.components[name];
        let part = package(&component.source, version, "golang", &component.license);
        let folder = step.input(&components::task_name(name))?;
        let inside = bill.parts.entry(part).or_default();
        for program in component.programs.keys() {
            inside.extend(go_modules(&folder.join(program))?);
        }
    }
    let part = package(program::PROGRAM, ctx.version(), "cargo", "Apache-2.0");
    bill.parts.insert(part, crates(ctx)?);
    for (layer, packages) in images::collect(step.inputs)?.packages {
        if !packages.is_empty() {
            let part = package(&format!("image-layer-{layer}"), ctx.version(), "oci", UNKNOWN);
            bill.parts.insert(part, debian(&packages));
        }
    }
    if let Some(built) = step.inputs.get(populate::PACKAGING) {
        packaged(&mut bill, built)?;
    }
    let created = populate::timestamp(ctx.epoch);
    let name = Path::new(SBOM).file_name().context("the bill has no name")?;
    fs::write(step.out.join(name), bill.render(&ctx.versions.product.name, ctx.version(), &created))
        .context("could not write the bill of materials")?;
    Ok(Outcome::Done)
}

fn package(name: &str, version: &str, kind: &str, license: &str) -> Package {
    Package {
        name: name.to_owned(),
        version: version.to_owned(),
        purl: format!("pkg:{kind}/{name}"),
        license: license.to_owned(),
    }
}

/// The modules that the Go compiler noted in a program.
fn go_modules(program: &Path) -> anyhow::Result<BTreeSet<Package>> {
    let text = command::text(Command::new("go").args(["version", "-m"]).arg(program))?;
    Ok(parse_modules(&text))
}

fn parse_modules(text: &str) -> BTreeSet<Package> {
    let mut modules: Vec<Package> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["dep", module, version, ..] => modules.push(package(module, version, "golang", UNKNOWN)),
            // The line before named what this one is instead of.
            ["=>", module, version, ..] => {
                modules.pop();
                modules.push(package(module, version, "golang", UNKNOWN));
            }
            _ => {}
        }
    }
    if let Some(version) = text.lines().next().and_then(|line| line.split("go").last()) {
        modules.push(package("stdlib", version.trim(), "golang", "BSD-3-Clause"));
    }
    modules.into_iter().collect()
}

/// All crates that our program consists of.
fn crates(ctx: &Context) -> anyhow::Result<BTreeSet<Package>> {
    let mut command = Command::new("cargo");
    command.current_dir(&ctx.root).args(["tree", "--offline", "--locked", "--package", "metalk8s-cli"]);
    command.args(["--edges", "normal", "--prefix", "none", "--no-dedupe", "--format", "{p}|{l}"]);
    Ok(parse_crates(&command::text(&mut command)?))
}

fn parse_crates(text: &str) -> BTreeSet<Package> {
    let line = |line: &str| {
        let (name, license) = line.split_once('|')?;
        let mut words = name.split(' ');
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        let license = if license.is_empty() { UNKNOWN.to_owned() } else { license.replace('/', " OR ") };
        Some(package(name, version, "cargo", &license))
    };
    text.lines().filter_map(line).collect()
}

fn debian(packages: &BTreeMap<String, String>) -> BTreeSet<Package> {
    let row = |(name, version): (&String, &String)| Package {
        purl: format!("pkg:deb/debian/{name}"),
        ..package(name, version, "deb", UNKNOWN)
    };
    packages.iter().map(row).collect()
}

/// The packages of both repositories, ours and others'.
fn packaged(bill: &mut Bill, built: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(built.join("versions.json")).context("the packages have no list of versions")?;
    let repositories: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_slice(&bytes).context("the list of packages is not readable")?;
    for (repository, packages) in repositories {
        let kind = if repository.starts_with("debian") { "deb/debian" } else { "rpm/redhat" };
        let part = package(&format!("repository-{}", repository.replace('/', "-")), "1", "generic", UNKNOWN);
        let inside = packages.iter().map(|(name, version)| package(name, version, kind, UNKNOWN));
        bill.parts.insert(part, inside.collect());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_modules_are_listed_as_what_was_built() {
        let text = "etcd: go1.26.8\n\tpath\tx\n\tmod\tours\t(devel)\n\tdep\ta.org/a\tv1.0.0\th1:x=\n\
                    \tdep\tb.org/b\tv1.0.0\n\t=>\tc.org/c\tv2.0.0\th1:y=\n\tbuild\tCGO_ENABLED=0\n";
        let names: Vec<_> =
            parse_modules(text).into_iter().map(|found| (found.name, found.version)).collect();
        let expected = [("a.org/a", "v1.0.0"), ("c.org/c", "v2.0.0"), ("stdlib", "1.26.8")];
        assert_eq!(names, expected.map(|(name, version)| (name.to_owned(), version.to_owned())));
    }

    #[test]
    fn crates_have_their_licence() {
        let found = parse_crates("serde v1.0.1|MIT/Apache-2.0\nx v2.0.0 (/somewhere)|\n");
        let licences: Vec<_> = found.iter().map(|found| found.license.as_str()).collect();
        assert_eq!(licences, ["MIT OR Apache-2.0", "NOASSERTION"]);
    }
}
