//! Remembers, below the build root, from which key the targets of a placed task were made.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::context::Context;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    key: String,
    /// Length and time of change (nanoseconds) of each target.
    targets: BTreeMap<PathBuf, (u64, u64)>,
}

/// Whether the targets are those that were made from `key`.
pub(super) fn holds(ctx: &Context, name: &str, key: &str, targets: &[PathBuf]) -> bool {
    let stamp = fs::read(path(ctx, name)).ok().and_then(|bytes| serde_json::from_slice::<Stamp>(&bytes).ok());
    stamp.is_some_and(|stamp| stamp.key == key && look(targets).is_ok_and(|found| found == stamp.targets))
}

/// Remembers.
pub(super) fn write(ctx: &Context, name: &str, key: &str, targets: &[PathBuf]) -> anyhow::Result<()> {
    let targets = look(targets).with_context(|| format!("the task `{name}` did not make its targets"))?;
    let path = path(ctx, name);
    fs::create_dir_all(path.parent().unwrap_or(&ctx.build_root))?;
    fs::write(&path, serde_json::to_vec(&Stamp { key: key.to_owned(), targets })?)
        .with_context(|| format!("could not write `{}`", path.display()))
}

/// Forgets: the targets are about to change.
pub(super) fn remove(ctx: &Context, name: &str) -> anyhow::Result<()> {
    match fs::remove_file(path(ctx, name)) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err).context("could not forget a task"),
        _ => Ok(()),
    }
}

fn path(ctx: &Context, name: &str) -> PathBuf {
    ctx.build_root.join(".tasks").join(format!("{}.json", name.replace(['/', ':'], "-")))
}

fn look(targets: &[PathBuf]) -> io::Result<BTreeMap<PathBuf, (u64, u64)>> {
    targets.iter().map(|target| Ok((target.clone(), state(target)?))).collect()
}

fn state(target: &Path) -> io::Result<(u64, u64)> {
    let found = fs::metadata(target)?;
    let changed = found.modified()?.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
    Ok((found.len(), changed))
}
