//! Image layers: a tree of files described in memory, written as a deterministic tar and compressed.
//!
//! Guarantees: entries are sorted by path, times are zero, no user or group names, no device files. The same tree
//! gives the same bytes.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use tar::{Builder, EntryType, Header};

use crate::digest::DigestWriter;

/// The media type of the layers that are written here.
pub const MEDIA_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// A tree of files, by path relative to the root.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
}

/// One entry of a [`Tree`].
#[derive(Debug, Clone)]
pub struct Node {
    /// Permission bits, such as `0o755`.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u64,
    /// Numeric group.
    pub gid: u64,
    /// What it is.
    pub kind: NodeKind,
}

/// What stands at a path of a [`Tree`].
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// A folder.
    Folder,
    /// A regular file.
    File(Content),
    /// A symbolic link with its target, as written.
    Link(String),
}

/// The bytes of a file.
#[derive(Debug, Clone)]
pub enum Content {
    /// In memory.
    Bytes(Arc<[u8]>),
    /// In a file, which must not change before the layer is written.
    Disk(PathBuf),
}

/// A written layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// `sha256:` of the compressed bytes, which is the blob's name.
    pub digest: String,
    /// Length of the compressed bytes.
    pub size: u64,
    /// `sha256:` of the tar, for the image's configuration.
    pub diff_id: String,
}

impl Tree {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All entries by path.
    pub fn nodes(&self) -> &BTreeMap<String, Node> {
        &self.nodes
    }

    /// The entry at `path`.
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(clean(path).as_str())
    }

    /// Puts an entry at `path`; missing folders above it are made (0755, root). A folder that is already there
    /// keeps its contents and takes the new mode and owner.
    pub fn insert(&mut self, path: &str, node: Node) {
        let path = clean(path);
        if path.is_empty() {
            return;
        }
        for (end, _) in path.match_indices('/') {
            self.nodes.entry(path[..end].to_owned()).or_insert_with(|| Node::folder(0o755));
        }
        self.nodes.insert(path, node);
    }

    /// Keeps only the paths that `keep` accepts, and the folders above them.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let kept: Vec<String> = self.nodes.keys().filter(|path| keep(path)).cloned().collect();
        let above = |path: &str| {
            let prefix = format!("{path}/");
            kept.binary_search_by(|probe| probe.as_str().cmp(&prefix))
                .map_or_else(|at| kept.get(at).is_some_and(|next| next.starts_with(&prefix)), |_| true)
        };
        self.nodes.retain(|path, _| kept.binary_search(path).is_ok() || above(path));
    }

    /// Writes the tar. Fails when an entry stands below a link or a file: who unpacks that is free to follow the
    /// link or to replace it.
    pub fn write_tar(&self, out: impl Write) -> io::Result<()> {
        let mut builder = Builder::new(out);
        for (path, node) in &self.nodes {
            self.check_parents(path)?;
            let mut header = Header::new_gnu();
            header.set_mode(node.mode);
            header.set_uid(node.uid);
            header.set_gid(node.gid);
            header.set_mtime(0);
            header.set_size(0);
            match &node.kind {
                NodeKind::Folder => {
                    header.set_entry_type(EntryType::Directory);
                    builder.append_data(&mut header, format!("{path}/"), io::empty())?;
                }
                NodeKind::Link(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    builder.append_link(&mut header, path, target)?;
                }
                NodeKind::File(content) => {
                    header.set_entry_type(EntryType::Regular);
                    header.set_size(content.size()?);
                    builder.append_data(&mut header, path, content.open()?)?;
                }
            }
        }
        builder.into_inner()?.flush()
    }
}

impl Tree {
    fn check_parents(&self, path: &str) -> io::Result<()> {
        let folder = |node: &Node| matches!(node.kind, NodeKind::Folder);
        for (end, _) in path.match_indices('/') {
            if !self.nodes.get(&path[..end]).is_some_and(folder) {
                let words = format!("`{path}` stands below `{}`, which is no folder", &path[..end]);
                return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
            }
        }
        Ok(())
    }
}

impl Node {
    /// A folder of root's.
    pub fn folder(mode: u32) -> Self {
        Self { mode, uid: 0, gid: 0, kind: NodeKind::Folder }
    }

    /// A file of root's.
    pub fn file(mode: u32, content: Content) -> Self {
        Self { mode, uid: 0, gid: 0, kind: NodeKind::File(content) }
    }

    /// A symbolic link.
    pub fn link(target: &str) -> Self {
        Self { mode: 0o777, uid: 0, gid: 0, kind: NodeKind::Link(target.to_owned()) }
    }
}

impl Content {
    /// Bytes in memory.
    pub fn bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self::Bytes(bytes.into())
    }

    /// Length in bytes.
    pub fn size(&self) -> io::Result<u64> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::Disk(path) => Ok(path.metadata()?.len()),
        }
    }

    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::Bytes(bytes) => Box::new(&bytes[..]),
            Self::Disk(path) => Box::new(File::open(path)?),
        })
    }
}

/// Writes a layer as `<folder>/<hex digest>`. `level` is zstd's, 1 to 22.
pub fn write_layer(tree: &Tree, folder: &Path, level: i32) -> io::Result<Layer> {
    let unnamed = folder.join("layer.tmp");
    let file = DigestWriter::new(File::create(&unnamed)?);
    let mut zstd = zstd::Encoder::new(file, level)?;
    zstd.include_checksum(true)?;
    let mut tar = DigestWriter::new(zstd);
    tree.write_tar(&mut tar)?;
    let (zstd, _, diff_id) = tar.finish();
    let (file, size, digest) = zstd.finish()?.finish();
    file.sync_all()?;
    std::fs::rename(&unnamed, folder.join(&digest))?;
    Ok(Layer { digest: format!("sha256:{digest}"), size, diff_id: format!("sha256:{diff_id}") })
}

fn clean(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(order: &[&str]) -> Tree {
        let mut tree = Tree::default();
        for path in order {
            tree.insert(path, Node::file(0o644, Content::bytes(&b"text"[..])));
        }
        tree.insert("bin/link", Node::link("tool"));
        tree
    }

    fn layer(tree: &Tree) -> (Layer, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let layer = write_layer(tree, folder.path(), 3).unwrap();
        let blob = std::fs::read(folder.path().join(&layer.digest["sha256:".len()..])).unwrap();
        (layer, blob)
    }

    #[test]
    fn the_same_tree_gives_the_same_bytes_in_whatever_order_it_was_filled() {
        let long = format!("/usr/share/{}/file", "long".repeat(40));
        let (one, bytes) = layer(&example(&["/bin/tool", "etc/x", &long]));
        let (other, other_bytes) = layer(&example(&[&long, "etc/x", "./bin/tool"]));
        assert_eq!((one, bytes), (other, other_bytes));
    }

    #[test]
    fn a_changed_mode_changes_the_digest() {
        let mut tree = example(&["a"]);
        let (before, _) = layer(&tree);
        tree.insert("a", Node::file(0o755, Content::bytes(&b"text"[..])));
        assert_ne!(before.digest, layer(&tree).0.digest);
    }

    #[test]
    fn folders_come_before_what_is_in_them() {
        let mut bytes = Vec::new();
        example(&["usr/local/bin/x"]).write_tar(&mut bytes).unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let paths: Vec<_> =
            archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
        let paths: Vec<_> = paths.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(paths, ["bin/", "bin/link", "usr/", "usr/local/", "usr/local/bin/", "usr/local/bin/x"]);
    }

    #[test]
    fn an_entry_below_a_link_is_refused() {
        let mut tree = example(&["usr/bin/bash"]);
        tree.insert("bin", Node::link("usr/bin"));
        tree.insert("bin/sh", Node::link("bash"));
        let error = tree.write_tar(io::sink()).unwrap_err();
        assert_eq!(error.to_string(), "`bin/link` stands below `bin`, which is no folder");
    }

    #[test]
    fn retain_keeps_the_folders_above() {
        let mut tree = example(&["a/b/c", "a/b-d", "x/y"]);
        tree.retain(|path| path == "a/b/c");
        assert_eq!(tree.nodes().keys().collect::<Vec<_>>(), ["a", "a/b", "a/b/c"]);
    }
}
