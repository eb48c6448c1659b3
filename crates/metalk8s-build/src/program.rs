//! Our own program, `metalk8s`: one static file, the same bytes wherever it is built.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fs::{self, File},
    path::{Component, Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
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
    // The program carries the addons' manifests inside.
    let mut files = ["Cargo.toml", "Cargo.lock", "addons"].map(|name| ctx.root.join(name)).to_vec();
    for folder in crates_of(ctx)? {
        files.push(folder.join("Cargo.toml"));
        files.extend([folder.join("src"), folder.join("build.rs")].into_iter().filter(|path| path.exists()));
    }
    let covered = files.clone();
    let about = "build our own program, metalk8s";
    let task = Task::stored(TASK, about, move |step| build(step, &covered));
    Ok(Task { files, facts: vec![RECIPE.to_owned(), compiler], guess: 300, ..task })
}

fn build(step: &Step<'_>, covered: &[PathBuf]) -> anyhow::Result<Outcome> {
    let target = step.ctx.cache.join("target");
    fs::create_dir_all(&target).context("could not make cargo's target folder")?;
    // From here until the program was copied, nobody else may replace it.
    let lock = File::create(target.join("metalk8s.lock")).context("could not lock cargo's target folder")?;
    lock.lock().context("could not lock cargo's target folder")?;
    forget_ours(&target.join(TARGET).join("release/.fingerprint"))?;
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
    let noted = fs::read_to_string(built.with_extension("d")).context("cargo noted no sources")?;
    if let Some(path) = uncovered(&noted, &step.ctx.root, covered) {
        bail!("the program includes `{}`, which its task does not read: see program.rs", path.display());
    }
    fs::copy(&built, step.out.join(PROGRAM)).context("cargo made no program")?;
    Ok(Outcome::Done)
}

/// Makes cargo compile all our crates again. It judges files by their time, and all clones share this folder: an
/// older file of another clone would pass for one that was compiled.
fn forget_ours(fingerprints: &Path) -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(fingerprints) else { return Ok(()) };
    for entry in entries {
        let entry = entry.context("could not read cargo's target folder")?;
        if entry.file_name().to_string_lossy().starts_with("metalk8s-") {
            fs::remove_dir_all(entry.path()).context("could not clean cargo's target folder")?;
        }
    }
    Ok(())
}

/// A source of ours that cargo used and that is not below one of the `covered` paths: a change of it would go
/// unnoticed. `noted` is cargo's dep-info, `target: source source`, with spaces in names escaped.
fn uncovered(noted: &str, root: &Path, covered: &[PathBuf]) -> Option<PathBuf> {
    let (_, sources) = noted.split_once(": ")?;
    let sources = sources.replace("\\ ", "\0");
    let mut sources = sources.split_whitespace().map(|source| plain(Path::new(&source.replace('\0', " "))));
    sources.find(|source| source.starts_with(root) && !covered.iter().any(|path| source.starts_with(path)))
}

/// The path without `..`: `include_str!` leaves them in.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_the_key_does_not_cover_is_found() {
        let noted = "/t/metalk8s: /r/crates/a/src/lib.rs /r/crates/a/src/../../../my\\ addons/x.yaml /elsewhere/y.rs\n";
        let covered = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let root = Path::new("/r");
        assert_eq!(uncovered(noted, root, &covered(&["/r/crates/a/src", "/r/my addons"])), None);
        let found = uncovered(noted, root, &covered(&["/r/crates/a/src"]));
        assert_eq!(found, Some(PathBuf::from("/r/my addons/x.yaml")));
    }
}
