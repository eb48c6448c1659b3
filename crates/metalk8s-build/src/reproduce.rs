//! Builds everything of ours twice, from nothing, and compares the bytes.
//!
//! What compilers made is taken from the cache: their own reproducibility is a matter of flags and is checked by
//! `--from-source`, which compiles with empty caches and takes as long as two first builds.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use metalk8s_artifacts::digest::sha256_of;
use walkdir::WalkDir;

use crate::{
    chain,
    context::Context,
    iso,
    runner::{How, Runner},
    store::Store,
};

/// What differs between two builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Relative to the build root.
    pub path: PathBuf,
}

/// Builds the ISO twice below `<build root>/reproduce` and compares every file. `from_source` compiles as well.
pub fn reproduce(ctx: &Context, jobs: usize, from_source: bool) -> anyhow::Result<Vec<Difference>> {
    let folder = ctx.build_root.join("reproduce");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("could not remove an earlier comparison")?;
    }
    let mut builds = Vec::new();
    for name in ["first", "second-in-another-place"] {
        let root = folder.join(name);
        build(&Context { build_root: root.join("out"), ..ctx.clone() }, &root, jobs, from_source)?;
        builds.push(digests(&root.join("out"))?);
    }
    let [first, second] = &builds[..] else { bail!("there are not two builds to compare") };
    let paths = first.keys().chain(second.keys().filter(|path| !first.contains_key(*path)));
    let different = paths.filter(|path| first.get(*path) != second.get(*path));
    let different: Vec<_> = different.map(|path| Difference { path: path.clone() }).collect();
    if different.is_empty() {
        fs::remove_dir_all(&folder).context("could not remove the comparison")?;
    }
    Ok(different)
}

fn build(ctx: &Context, root: &Path, jobs: usize, from_source: bool) -> anyhow::Result<()> {
    let (usual, fresh) = (Store::open(&ctx.cache)?, Store::open(root)?);
    let ctx =
        &if from_source { Context { cache: empty_cache(ctx, root)?, ..ctx.clone() } } else { ctx.clone() };
    let tasks = chain::tasks(ctx)?;
    let kept = |name: &str| {
        let compiled = name.starts_with("components:") || name == crate::program::TASK;
        name.starts_with("_debian:") || (compiled && !from_source)
    };
    let store = |name: &str| if kept(name) { usual.clone() } else { fresh.clone() };
    let runner = Runner { ctx, tasks: &tasks, store: &store, jobs, quiet: true };
    for ended in runner.run(&[iso::TASK.to_owned()])? {
        if let How::Failed(why) = ended.how {
            bail!("`{}` failed: {why}", ended.name);
        }
    }
    Ok(())
}

/// A cache without anything compiled: keys, and what was fetched and is checked by its digest, are shared.
fn empty_cache(ctx: &Context, root: &Path) -> anyhow::Result<PathBuf> {
    let cache = root.join("cache");
    fs::create_dir_all(cache.join("go")).context("could not make an empty cache")?;
    for shared in ["apt", "go/mod", "keys"] {
        let from = ctx.cache.join(shared);
        fs::create_dir_all(&from)?;
        symlink(from, cache.join(shared)).context("could not make an empty cache")?;
    }
    Ok(cache)
}

fn digests(root: &Path) -> anyhow::Result<BTreeMap<PathBuf, String>> {
    let mut digests = BTreeMap::new();
    for entry in WalkDir::new(root) {
        let entry = entry?;
        let path = entry.path().strip_prefix(root)?;
        if entry.file_type().is_file() && !path.starts_with("log") && !path.starts_with(".tasks") {
            let (_, digest) = sha256_of(&mut fs::File::open(entry.path())?, &mut |_| ())?;
            digests.insert(path.to_owned(), digest);
        }
    }
    Ok(digests)
}
