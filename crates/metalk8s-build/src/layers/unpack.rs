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

use anyhow::{Context as _, bail};
use metalk8s_artifacts::layer::{Content, Node, NodeKind, Tree};

use super::{LayerSpec, debian_task_name};
use crate::{
    command,
    context::Context,
    debian::{Apt, Deb},
    task::{Outcome, Step, Task},
};

/// The lock, relative to the root of the repository: a heading per layer, then one line per package.
pub const LOCK: &str = "images/debian.lock";
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];
const CERTIFICATES: &str = "usr/share/ca-certificates/";
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// The task that fetches the packages of a layer into the store.
pub fn fetch_task(ctx: &Context, name: &str, spec: &LayerSpec) -> anyhow::Result<Task> {
    let mut lock = read_lock(&ctx.root)?;
    let locked = lock.remove(name).unwrap_or_default();
    let below = lock.remove(&spec.on).unwrap_or_default();
    let lines: Vec<String> = locked.iter().map(Deb::to_line).collect();
    let facts = vec![lines.join("\n"), format!("{:?} {:?}", spec.packages, spec.without)];
    let about = format!("fetch the {} Debian packages of the layer {name}", locked.len());
    let wanted = spec.clone();
    let layer = name.to_owned();
    let task = Task::stored(debian_task_name(name), about, move |step| {
        if locked.is_empty() {
            bail!("`{LOCK}` has no packages for the layer `{layer}`; run `./doit.sh _debian_lock`");
        }
        fetch(step, &locked, &wanted, &below)
    });
    Ok(Task { facts, guess: 30, ..task })
}

/// The task that writes the lock anew, from what the mirror has now.
pub fn lock_task(layers: &BTreeMap<String, LayerSpec>) -> Task {
    let layers = layers.clone();
    let action = move |step: &Step<'_>| {
        let apt = Apt::open(&step.ctx.cache)?;
        apt.update(step.log)?;
        let mut text =
            "# Written by `./doit.sh _debian_lock`: name, version, architecture, sha256.\n".to_owned();
        for (name, spec) in layers.iter().filter(|(_, spec)| !spec.packages.is_empty()) {
            let below = match layers.get(&spec.on) {
                Some(on) => resolve(&apt, on, &[])?,
                None => Vec::new(),
            };
            text.push_str(&format!("\n[{name}]\n"));
            for deb in resolve(&apt, spec, &below)? {
                text.push_str(&deb.to_line());
                text.push('\n');
            }
        }
        fs::write(step.ctx.root.join(LOCK), text).context("could not write the lock")?;
        Ok(Outcome::Done)
    };
    let about = "pin the Debian packages of images to what the mirror has now";
    Task::new("_debian_lock", about, crate::task::Kind::Always(Box::new(action)))
}

/// The packages of each layer.
pub fn read_lock(root: &Path) -> anyhow::Result<BTreeMap<String, Vec<Deb>>> {
    let text = fs::read_to_string(root.join(LOCK)).unwrap_or_default();
    let mut layers: BTreeMap<String, Vec<Deb>> = BTreeMap::new();
    let mut current = None;
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match (line.strip_prefix('[').and_then(|line| line.strip_suffix(']')), &current) {
            (Some(name), _) => current = Some(name.to_owned()),
            (None, Some(name)) => layers.entry(name.clone()).or_default().push(Deb::parse(line)?),
            (None, None) => bail!("`{LOCK}` begins without a `[layer]`"),
        }
    }
    Ok(layers)
}

fn resolve(apt: &Apt, spec: &LayerSpec, below: &[Deb]) -> anyhow::Result<Vec<Deb>> {
    let mut debs = apt.resolve(&spec.packages)?;
    debs.retain(|deb| !spec.without.contains(&deb.name) && !below.iter().any(|there| there.name == deb.name));
    Ok(debs)
}

fn fetch(step: &Step<'_>, locked: &[Deb], wanted: &LayerSpec, below: &[Deb]) -> anyhow::Result<Outcome> {
    let apt = Apt::open(&step.ctx.cache)?;
    apt.update(step.log)?;
    apt.prefetch(locked, step.log)?;
    let mut gone = Vec::new();
    for deb in locked {
        match apt.fetch(deb, step.log)? {
            Some(path) => copy(&path, step.out)?,
            None => gone.push(deb.name.as_str()),
        }
    }
    if gone.is_empty() {
        return Ok(Outcome::Done);
    }
    // Mirrors keep one version. Going on is better than no build at all, but it must be seen.
    for old in fs::read_dir(step.out)? {
        fs::remove_file(old?.path())?;
    }
    let current = resolve(&apt, wanted, below)?;
    apt.prefetch(&current, step.log)?;
    for deb in current {
        match apt.fetch(&deb, step.log)? {
            Some(path) => copy(&path, step.out)?,
            None => bail!("the mirror lists `{}` and does not have it", deb.file_name()),
        }
    }
    Ok(Outcome::Warned(format!(
        "the mirror has newer versions than `{LOCK}` of {}: these were taken; `./doit.sh _debian_lock` pins them",
        gone.join(", ")
    )))
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
