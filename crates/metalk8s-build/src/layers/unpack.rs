//! Debian packages inside a layer: fetched by the lock `images/debian.lock`, unpacked without being installed.
//!
//! No maintainer script runs. The few things that scripts would do and images need are done here: the folders
//! that are links in a merged /usr, the bundle of certificates, the links of alternatives (those in the layer's
//! own description).

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::{Context as _, anyhow, bail};
use metalk8s_artifacts::layer::{Content, Node, NodeKind, Tree};

use super::{LayerSpec, debian_task_name};
use crate::{
    command,
    context::Context,
    debian::{
        Apt, Deb,
        lock::{self, Lock, Section, WhenGone},
    },
    task::{Outcome, Task},
};

/// The lock of all layers, relative to the root of the repository.
pub const LOCK: &str = "images/debian.lock";
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];
const CERTIFICATES: &str = "usr/share/ca-certificates/";
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// The task that fetches the packages of a layer into the store.
pub fn fetch_task(ctx: &Context, name: &str, spec: &LayerSpec) -> anyhow::Result<Task> {
    let lock = Lock::read(&ctx.root.join(LOCK))?;
    let below = lock.names(&spec.on);
    let section = lock.section(name, &spec.packages).cloned();
    let locked = section.as_ref().map(|section| section.debs.as_slice()).unwrap_or_default();
    let lines: Vec<String> = locked.iter().map(Deb::to_line).collect();
    let when_gone = WhenGone::wanted(&ctx.settings)?;
    let mut facts = vec![lines.join("\n"), format!("{:?} {:?}", spec.packages, spec.without)];
    facts.extend(when_gone.fact());
    let about = format!("fetch the {} Debian packages of the layer {name}", locked.len());
    let wanted = spec.clone();
    let task = Task::stored(debian_task_name(name), about, move |step| {
        let section = section.as_ref().map_err(|error| anyhow!("{error}"))?;
        let apt = Apt::open(&step.ctx.cache)?;
        let taken = lock::take(&apt, section, |apt| resolve(apt, &wanted, &below), when_gone, step.log)?;
        for (_, path) in &taken.debs {
            copy(path, step.out)?;
        }
        Ok(taken.warning.map_or(Outcome::Done, Outcome::Warned))
    });
    Ok(Task { facts, guess: 30, ..task })
}

/// What the lock would hold with what the mirror has now.
pub fn resolve_all(apt: &Apt, layers: &BTreeMap<String, LayerSpec>) -> anyhow::Result<Lock> {
    let mut lock = Lock::default();
    for (name, spec) in layers.iter().filter(|(_, spec)| !spec.packages.is_empty()) {
        let below = layers.get(&spec.on).map(|on| resolve(apt, on, &[])).transpose()?.unwrap_or_default();
        let below: Vec<String> = below.into_iter().map(|deb| deb.name).collect();
        lock.insert(name, Section { asked: spec.packages.clone(), debs: resolve(apt, spec, &below)? });
    }
    Ok(lock)
}

/// What a layer holds, on one that has packages of the names `below`.
fn resolve(apt: &Apt, spec: &LayerSpec, below: &[String]) -> anyhow::Result<Vec<Deb>> {
    let mut debs = apt.resolve(&spec.packages)?;
    debs.retain(|deb| !spec.without.contains(&deb.name) && !below.contains(&deb.name));
    Ok(debs)
}

fn copy(path: &Path, folder: &Path) -> anyhow::Result<()> {
    let name = path.file_name().context("a package has no name")?;
    fs::copy(path, folder.join(name)).map(drop).context("could not copy a package")
}

/// Unpacks all packages of a folder into `tree`; gives their versions by name.
pub fn unpack(folder: &Path, tree: &mut Tree) -> anyhow::Result<BTreeMap<String, String>> {
    for name in MERGED {
        tree.insert(&format!("usr/{name}"), Node::folder(0o755));
        tree.insert(name, Node::link(&format!("usr/{name}")));
    }
    let mut paths: Vec<_> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    paths.sort();
    let mut versions = BTreeMap::new();
    for path in paths {
        let name = path.display().to_string();
        unpack_one(&path, tree).with_context(|| format!("could not unpack `{name}`"))?;
        let control = command::text(Command::new("dpkg-deb").arg("--field").arg(&path))?;
        let field = |key: &str| control.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        let (Some(package), Some(version)) = (field("Package"), field("Version")) else {
            bail!("`{name}` has no name or version");
        };
        versions.insert(package.to_owned(), version.to_owned());
        // Where scanners of images look when nothing is installed by dpkg.
        let status = Content::bytes(format!("{control}\n").into_bytes());
        tree.insert(&format!("var/lib/dpkg/status.d/{package}"), Node::file(0o644, status));
    }
    bundle(tree)?;
    Ok(versions)
}

fn unpack_one(path: &Path, tree: &mut Tree) -> anyhow::Result<()> {
    let mut child = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("could not run `dpkg-deb`")?;
    let mut bytes = Vec::new();
    child.stdout.take().context("dpkg-deb has no output")?.read_to_end(&mut bytes)?;
    let status = child.wait()?;
    if !status.success() {
        bail!("`dpkg-deb` ended with {status}");
    }
    let mut hard_links: HashMap<String, Arc<[u8]>> = HashMap::new();
    for entry in tar::Archive::new(&bytes[..]).entries()? {
        let mut entry = entry?;
        let Some(path) = merged(&entry.path()?.to_string_lossy()) else { continue };
        let header = entry.header();
        let (mode, uid, gid) = (header.mode()?, header.uid()?, header.gid()?);
        let target = entry.link_name()?.map(|target| target.to_string_lossy().into_owned());
        let kind = match (header.entry_type(), target) {
            (tar::EntryType::Directory, _) => NodeKind::Folder,
            (tar::EntryType::Regular, _) => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content)?;
                let content: Arc<[u8]> = content.into();
                hard_links.insert(path.clone(), content.clone());
                NodeKind::File(Content::Bytes(content))
            }
            (tar::EntryType::Symlink, Some(target)) => NodeKind::Link(target),
            (tar::EntryType::Link, Some(target)) => {
                let target = merged(&target).and_then(|target| hard_links.get(&target).cloned());
                NodeKind::File(Content::Bytes(target.context("a hard link leads nowhere")?))
            }
            (other, _) => bail!("`{path}` is of kind {other:?}"),
        };
        tree.insert(&path, Node { mode, uid, gid, kind });
    }
    Ok(())
}

/// The path in a merged /usr; `None` for the root and for folders that are links there.
fn merged(path: &str) -> Option<String> {
    let path = path.trim_start_matches("./").trim_matches('/');
    if path.is_empty() || path == "." || MERGED.contains(&path) {
        return None;
    }
    let first = path.split('/').next().unwrap_or_default();
    Some(if MERGED.contains(&first) { format!("usr/{path}") } else { path.to_owned() })
}

/// What update-ca-certificates(8) would write.
fn bundle(tree: &mut Tree) -> anyhow::Result<()> {
    let mut text = Vec::new();
    for (path, node) in tree.nodes() {
        if let (true, NodeKind::File(Content::Bytes(bytes))) = (is_certificate(path), &node.kind) {
            text.extend_from_slice(bytes);
            text.push(b'\n');
        }
    }
    if !text.is_empty() {
        tree.insert(BUNDLE, Node::file(0o644, Content::bytes(text)));
    }
    Ok(())
}

fn is_certificate(path: &str) -> bool {
    path.starts_with(CERTIFICATES) && path.ends_with(".crt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_an_unmerged_package_go_below_usr() {
        assert_eq!(merged("./bin/bash").as_deref(), Some("usr/bin/bash"));
        assert_eq!(
            merged("./lib/x86_64-linux-gnu/libc.so.6").as_deref(),
            Some("usr/lib/x86_64-linux-gnu/libc.so.6")
        );
        assert_eq!(merged("./usr/bin/x").as_deref(), Some("usr/bin/x"));
        assert_eq!(merged("./binary").as_deref(), Some("binary"));
        assert_eq!((merged("./"), merged("./bin/")), (None, None));
    }
}
