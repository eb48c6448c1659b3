//! Our own program, `metalk8s`: one static file, the same bytes wherever it is built.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use serde::Deserialize;

use crate::{
    command,
    context::Context,
    task::{Outcome, Step, Task},
};

/// Name of the task, and of the component that images call it by.
pub const TASK: &str = "program";
/// Name of the program.
pub const PROGRAM: &str = "metalk8s";
const CRATE: &str = "metalk8s-cli";
const TARGET: &str = "x86_64-unknown-linux-gnu";
const RECIPE: &str = include_str!("program.rs");

/// The task.
pub fn task(ctx: &Context) -> anyhow::Result<Task> {
    let compiler = command::text(Command::new("rustc").arg("--version").current_dir(&ctx.root))?;
    let mut files = vec![ctx.root.join("Cargo.toml"), ctx.root.join("Cargo.lock")];
    for folder in crates_of(ctx)? {
        files.push(folder.join("Cargo.toml"));
        files.extend([folder.join("src"), folder.join("build.rs")].into_iter().filter(|path| path.exists()));
    }
    let task = Task::stored(TASK, "build our own program, metalk8s", build);
    Ok(Task { files, facts: vec![RECIPE.to_owned(), compiler], guess: 300, ..task })
}

fn build(step: &Step<'_>) -> anyhow::Result<Outcome> {
    let target = step.ctx.cache.join("target");
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
        .context("neither HOME nor CARGO_HOME is set")?;
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    // The environment replaces what .cargo/config.toml says, so that is said again.
    let flags = [
        "-Ctarget-feature=+crt-static".to_owned(),
        remap(&target, "/target"),
        remap(&cargo_home, "/cargo"),
        remap(&step.ctx.root, "/metalk8s"),
    ];
    let mut command = Command::new("cargo");
    command
        .current_dir(&step.ctx.root)
        .args(["build", "--release", "--locked", "--package", CRATE, "--target", TARGET])
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("CARGO_INCREMENTAL", "0")
        .env("SOURCE_DATE_EPOCH", "0")
        .env_remove("RUSTFLAGS");
    step.log.run(&mut command)?;
    let built = target.join(TARGET).join("release").join(PROGRAM);
    fs::copy(&built, step.out.join(PROGRAM)).context("cargo made no program")?;
    Ok(Outcome::Done)
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
}

#[derive(Deserialize)]
struct MetadataPackage {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<MetadataDependency>,
}

#[derive(Deserialize)]
struct MetadataDependency {
    name: String,
    path: Option<PathBuf>,
    kind: Option<String>,
}

/// The folders of all crates of ours that are part of the program.
fn crates_of(ctx: &Context) -> anyhow::Result<BTreeSet<PathBuf>> {
    let mut command = Command::new("cargo");
    command.current_dir(&ctx.root).args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let metadata: Metadata = serde_json::from_slice(&command::output(&mut command)?)
        .context("`cargo metadata` is not readable")?;
    let packages: BTreeMap<&str, &MetadataPackage> =
        metadata.packages.iter().map(|package| (package.name.as_str(), package)).collect();
    let mut folders = BTreeSet::new();
    let mut waiting = vec![CRATE];
    while let Some(name) = waiting.pop() {
        let Some(package) = packages.get(name) else { continue };
        let folder = package.manifest_path.parent().context("a manifest stands at the root")?;
        if folders.insert(folder.to_owned()) {
            let ours =
                package.dependencies.iter().filter(|found| found.path.is_some() && found.kind.is_none());
            waiting.extend(ours.map(|found| found.name.as_str()));
        }
    }
    Ok(folders)
}
