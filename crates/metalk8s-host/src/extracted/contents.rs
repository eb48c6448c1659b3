//! What an archive holds. All of it is read and judged before anything is written.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsStr,
    fs::File,
    io,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

use tar::{Archive, Entry, EntryType};

use super::stream::{self, Allowance, MOST_BETWEEN, Tar, invalid, shown};
use crate::files::draft::Name;

/// As the kernel's own limits (path_resolution(7)).
const MOST_LINKS: usize = 40;
const MOST_PATH: usize = 4096;

/// How large an archive may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Entries, those that are skipped and folders in between included.
    pub(super) entries: usize,
    /// Bytes of all files together.
    pub(super) bytes: u64,
    /// Bytes of all paths together, which are held in memory.
    pub(super) paths: usize,
}

pub(super) const LIMITS: Limits = Limits { entries: 500_000, bytes: 32 << 30, paths: 64 << 20 };

/// All entries by their path below the target; the target itself is the empty path, and every folder above an
/// entry is among them.
#[derive(Debug)]
pub(super) struct Contents(pub(super) BTreeMap<PathBuf, Node>);

/// One entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// A folder; one that the archive does not name keeps its mode.
    Folder { mode: Option<u32> },
    /// A regular file.
    File { mode: u32, size: u64, digest: [u8; 32], position: usize },
    /// A symbolic link, and where it points.
    Link(PathBuf),
}

/// Reads the whole archive.
pub(super) fn read(file: &File, strip: u32, limits: Limits) -> io::Result<Contents> {
    let mut nodes = BTreeMap::new();
    let (mut bytes, mut paths) = (0_u64, 0);
    walk(file, |position, entry| {
        bytes = bytes.saturating_add(entry.size());
        if position >= limits.entries || bytes > limits.bytes {
            return Err(too_large(limits));
        }
        let Some((path, node)) = judge(position, entry, strip)? else { return Ok(()) };
        for above in path.ancestors().skip(1) {
            if nodes.contains_key(above) {
                break;
            }
            paths += above.as_os_str().len();
            nodes.insert(above.to_owned(), Node::Folder { mode: None });
        }
        paths += path.as_os_str().len();
        if let Node::Link(target) = &node {
            paths += target.as_os_str().len();
        }
        // Of several entries of one path the last counts, as for tar(1).
        nodes.insert(path, node);
        if nodes.len() > limits.entries || paths > limits.paths {
            return Err(too_large(limits));
        }
        Ok(())
    })?;
    let contents = Contents(nodes);
    contents.check_folders()?;
    contents.check_links()?;
    if contents.0.is_empty() {
        return Err(invalid(match strip {
            0 => "it holds nothing".to_owned(),
            _ => format!("no path in it has more than {strip} components"),
        }));
    }
    Ok(contents)
}

/// Goes through all entries, each with its position.
pub(super) fn walk(
    file: &File,
    mut each: impl FnMut(usize, &mut Entry<'_, Tar>) -> io::Result<()>,
) -> io::Result<()> {
    let allowance = Allowance::default();
    let mut archive = Archive::new(Tar::open(file, &allowance)?);
    for (position, entry) in archive.entries()?.enumerate() {
        let mut entry = entry?;
        allowance.set(entry.size().saturating_add(MOST_BETWEEN));
        each(position, &mut entry)?;
        // What was not read of it is skipped here, where its end is noticed.
        io::copy(&mut entry, &mut io::sink())?;
        allowance.set(MOST_BETWEEN);
    }
    // To its very end, where compressed files have their checksums.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    Ok(())
}

/// The path below the target and what stands there; `None` for what is not unpacked.
fn judge(position: usize, entry: &mut Entry<'_, Tar>, strip: u32) -> io::Result<Option<(PathBuf, Node)>> {
    let named = PathBuf::from(OsStr::from_bytes(&entry.path_bytes()));
    let name = shown(&named);
    let refused = |why: &str| Err(invalid(format!("its entry `{name}` {why}")));
    let kind = entry.header().entry_type();
    if kind == EntryType::XGlobalHeader {
        return Ok(None);
    }
    if named.as_os_str().len() > MOST_PATH || named.as_os_str().as_bytes().contains(&0) {
        return Err(invalid("the path of an entry is longer than any path, or has a zero byte".to_owned()));
    }
    let mut parts = Vec::new();
    for part in named.components() {
        match part {
            Component::Normal(part) => parts.push(part),
            Component::CurDir => {}
            Component::ParentDir => return refused("has `..` in its path"),
            Component::RootDir | Component::Prefix(_) => return refused("has an absolute path"),
        }
    }
    let mode = entry.header().mode()? & 0o777;
    // Archives older than POSIX have no type for folders.
    let is_old_folder = entry.header().as_ustar().is_none() && entry.path_bytes().ends_with(b"/");
    let node = match kind {
        EntryType::Directory => Node::Folder { mode: Some(mode) },
        EntryType::Regular | EntryType::Continuous if is_old_folder => Node::Folder { mode: Some(mode) },
        EntryType::Regular | EntryType::Continuous if is_sparse(entry)? => {
            return refused("is a sparse file");
        }
        EntryType::Regular | EntryType::Continuous => {
            let size = entry.size();
            let (length, digest) = stream::copy(entry, io::sink())?;
            if length != size {
                return refused("is cut off");
            }
            Node::File { mode, size, digest, position }
        }
        EntryType::Symlink => match entry.link_name_bytes() {
            Some(target) if !target.is_empty() && target.len() <= MOST_PATH && !target.contains(&0) => {
                Node::Link(PathBuf::from(OsStr::from_bytes(&target)))
            }
            _ => return refused("is a link to nothing"),
        },
        EntryType::Link => return refused("is a hard link"),
        EntryType::Char | EntryType::Block | EntryType::Fifo => return refused("is a device or a pipe"),
        EntryType::GNUSparse => return refused("is a sparse file"),
        other => return refused(&format!("is of the unknown kind {:?}", char::from(other.as_byte()))),
    };
    let path: PathBuf = parts.iter().skip(usize::try_from(strip).unwrap_or(usize::MAX)).collect();
    if path.as_os_str().is_empty() {
        // The folder itself is the host's, whatever the archive says of its own.
        return Ok(None);
    }
    if path.iter().any(Name::is_usual) {
        return refused("has a name that files have while they are written");
    }
    Ok(Some((path, node)))
}

fn is_sparse(entry: &mut Entry<'_, Tar>) -> io::Result<bool> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(false) };
    for extension in extensions {
        if extension?.key_bytes().starts_with(b"GNU.sparse.") {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Contents {
    fn check_folders(&self) -> io::Result<()> {
        for path in self.0.keys() {
            // What is above that is a path too.
            let Some(above) = path.parent() else { continue };
            if !matches!(self.0.get(above), Some(Node::Folder { .. })) {
                let (path, above) = (shown(path), shown(above));
                return Err(invalid(format!(
                    "its entry `{path}` stands below `{above}`, which is no folder"
                )));
            }
        }
        Ok(())
    }

    /// Nothing is written through links here; but who uses the folder follows them.
    fn check_links(&self) -> io::Result<()> {
        for (path, node) in &self.0 {
            if let Node::Link(target) = node
                && !self.stays_inside(path, target)
            {
                return Err(invalid(format!(
                    "its entry `{}` is a link to `{}`, which is outside of the folder",
                    shown(path),
                    shown(target)
                )));
            }
        }
        Ok(())
    }

    fn stays_inside(&self, link: &Path, target: &Path) -> bool {
        let mut here = link.parent().unwrap_or(Path::new("")).to_owned();
        let mut waiting: VecDeque<Component<'_>> = target.components().collect();
        let mut links = 0;
        while let Some(part) = waiting.pop_front() {
            match part {
                Component::Normal(name) => here.push(name),
                Component::CurDir => {}
                Component::ParentDir if here.pop() => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
            }
            if let Some(Node::Link(further)) = self.0.get(&here) {
                links += 1;
                if links > MOST_LINKS {
                    // The kernel follows it nowhere.
                    return true;
                }
                here.pop();
                for part in further.components().rev() {
                    waiting.push_front(part);
                }
            }
        }
        true
    }
}

fn too_large(limits: Limits) -> io::Error {
    let Limits { entries, bytes, paths } = limits;
    let message = format!("it holds more than {entries} entries, {bytes} bytes, or {paths} bytes of paths");
    io::Error::new(io::ErrorKind::FileTooLarge, message)
}
