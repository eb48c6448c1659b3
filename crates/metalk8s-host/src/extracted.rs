//! Unpacked archives.
//!
//! An archive is read twice: once to judge all of it and to know what each file must be, and once more, where
//! something differs, to write that. Each file and link is written beside its place and renamed, so that a
//! run killed in between leaves what the next one finds missing.

mod contents;
mod stream;

use std::{
    collections::BTreeMap,
    fs::{self, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, lchown, symlink},
    path::{Path, PathBuf},
};

use metalk8s_engine::{Change, ChangeKind, StateError, state::Extracted};
use rustix::fs::OFlags;

use self::{
    contents::{Contents, LIMITS, Node},
    stream::{invalid, shown},
};
use crate::{
    Host, accounts,
    doing::Doing,
    files::{
        draft::{Draft, Name},
        make_directories,
        owner::{MODE_BITS, Numbers, Wished, give},
    },
};

/// A wish in the terms of the operating system.
struct Job {
    wish: Extracted,
    source: PathBuf,
    target: PathBuf,
    uid: Option<u32>,
    gid: Option<u32>,
}

pub(crate) async fn check(host: &Host, wish: &Extracted) -> Result<Option<Change>, StateError> {
    let (source, target) = (wish.source.display(), wish.target.display());
    let change = |kind, what: &str| Change::new(kind, format!("unpack {source} into {target}{what}"));
    let job = Job::new(host, wish)?;
    // An archive or an owner that another state is still to make.
    if !host.exists(&wish.source) || is_unknown(host, wish)? {
        return Ok(Some(change(ChangeKind::Create, "")));
    }
    let (differing, all) = on_a_thread(move || {
        let (_, contents) = job.read()?;
        let differing = job.differing(&contents)?;
        Ok((differing.into_iter().map(shown).collect::<Vec<_>>(), contents.0.len()))
    })
    .await?;
    Ok(differing.iter().find(|path| *path != ".").or(differing.first()).map(|first| {
        if differing.len() == all {
            change(ChangeKind::Create, "")
        } else {
            change(ChangeKind::Update, &format!(": {} of {all} entries, such as `{first}`", differing.len()))
        }
    }))
}

pub(crate) async fn apply(host: &Host, wish: &Extracted) -> Result<(), StateError> {
    let Extracted { user, group, .. } = wish;
    // An unknown owner is told before anything is made.
    let owner = Wished { mode: 0, user: user.as_deref(), group: group.as_deref() }.numbers(host)?;
    let job = Job { uid: owner.uid, gid: owner.gid, ..Job::new(host, wish)? };
    on_a_thread(move || {
        let (file, contents) = job.read()?;
        let differing = job.differing(&contents)?;
        job.write(&file, &contents, &differing).doing(|| {
            format!("could not unpack `{}` into `{}`", job.wish.source.display(), job.wish.target.display())
        })
    })
    .await
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StateError> + Send + 'static,
) -> Result<T, StateError> {
    tokio::task::spawn_blocking(work).await.doing(|| "could not unpack an archive".to_owned())?
}

/// Whether the owner is a user or a group that the host does not know yet.
fn is_unknown(host: &Host, wish: &Extracted) -> Result<bool, StateError> {
    let Extracted { user, group, .. } = wish;
    Ok(user.as_deref().map(|name| accounts::uid(host, name)).transpose()? == Some(None)
        || group.as_deref().map(|name| accounts::gid(host, name)).transpose()? == Some(None))
}

impl Job {
    fn new(host: &Host, wish: &Extracted) -> Result<Self, StateError> {
        // The folder itself may be a link, as an administrator may have moved it to another disk.
        let below = host.real(&wish.target.join("below"))?;
        let target = below.parent().unwrap_or(&below).to_owned();
        let uid = wish.user.as_deref().map(|name| accounts::uid(host, name)).transpose()?.flatten();
        let gid = wish.group.as_deref().map(|name| accounts::gid(host, name)).transpose()?.flatten();
        Ok(Self { wish: wish.clone(), source: host.real(&wish.source)?, target, uid, gid })
    }

    /// The archive and what it holds, when all of it is sound.
    fn read(&self) -> Result<(File, Contents), StateError> {
        let source = self.wish.source.display();
        let doing = || format!("could not read the archive `{source}`");
        // Without `NONBLOCK` opening a pipe would wait for its other end.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&self.source).doing(doing)?;
        if !file.metadata().doing(doing)?.is_file() {
            return Err(StateError::new(format!("the archive `{source}` is no regular file")));
        }
        if let Some(wanted) = &self.wish.sha256 {
            let found = stream::sha256(&file).doing(doing)?;
            if found != wanted.to_ascii_lowercase() {
                return Err(StateError::new(format!(
                    "the archive `{source}` has the digest sha256 `{found}`, but `{wanted}` was asked for"
                )));
            }
        }
        let contents = contents::read(&file, self.wish.strip_components, LIMITS).doing(doing)?;
        Ok((file, contents))
    }

    /// Entries that are not on the disk as they are in the archive.
    fn differing<'c>(&self, contents: &'c Contents) -> Result<Vec<&'c Path>, StateError> {
        let mut differing = Vec::new();
        for (path, node) in &contents.0 {
            let doing = || format!("could not compare `{}`", self.wish.target.join(path).display());
            if !self.holds(path, node).doing(doing)? {
                differing.push(path.as_path());
            }
        }
        Ok(differing)
    }

    fn holds(&self, path: &Path, node: &Node) -> io::Result<bool> {
        let real = self.target.join(path);
        let found = match look(&real, path.as_os_str().is_empty()) {
            Ok(found) => found,
            Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(false);
            }
            Err(err) => return Err(err),
        };
        if found.is_dir() && !matches!(node, Node::Folder { .. }) {
            return Err(invalid("it is a directory, and none in the archive".to_owned()));
        }
        let is_owned =
            self.uid.is_none_or(|uid| found.uid() == uid) && self.gid.is_none_or(|gid| found.gid() == gid);
        let has_mode = |mode: u32| found.mode() & MODE_BITS == mode;
        Ok(is_owned
            && match node {
                Node::Folder { mode } => found.is_dir() && mode.is_none_or(has_mode),
                Node::Link(target) => found.is_symlink() && fs::read_link(&real)? == *target,
                Node::File { mode, size, digest, position: _ } => {
                    found.is_file()
                        && has_mode(*mode)
                        && found.len() == *size
                        && stream::copy(open(&real)?, io::sink())? == (*size, *digest)
                }
            })
    }

    /// Writes these entries.
    fn write(&self, file: &File, contents: &Contents, differing: &[&Path]) -> io::Result<()> {
        // Above what is in them, and open to nobody else until that is there.
        for path in differing {
            if let Node::Folder { mode } = contents.0[*path] {
                self.make_folder(path, mode).map_err(at(path))?;
            }
        }
        let mut waiting: BTreeMap<usize, &Path> = differing
            .iter()
            .filter_map(|path| match contents.0[*path] {
                Node::File { position, .. } => Some((position, *path)),
                Node::Folder { .. } | Node::Link(_) => None,
            })
            .collect();
        if !waiting.is_empty() {
            contents::walk(file, |position, entry| match waiting.remove(&position) {
                Some(path) => self.write_file(path, &contents.0[path], entry).map_err(at(path)),
                None => Ok(()),
            })?;
        }
        if !waiting.is_empty() {
            return Err(changed_meanwhile());
        }
        for path in differing {
            if let Node::Link(target) = &contents.0[*path] {
                self.link(path, target).map_err(at(path))?;
            }
        }
        // From below, because a folder may be closed to its own owner.
        for path in differing.iter().rev() {
            if let Node::Folder { mode } = contents.0[*path] {
                self.give_folder(path, mode).map_err(at(path))?;
            }
        }
        Ok(())
    }

    fn make_folder(&self, path: &Path, mode: Option<u32>) -> io::Result<()> {
        let real = self.target.join(path);
        let is_target = path.as_os_str().is_empty();
        match look(&real, is_target) {
            Ok(found) if found.is_dir() => return Ok(()),
            Ok(_) if is_target => return Err(io::ErrorKind::NotADirectory.into()),
            // A file, or a link that may lead anywhere.
            Ok(_) => fs::remove_file(&real)?,
            Err(err) if err.kind() == io::ErrorKind::NotFound => {}
            Err(err) => return Err(err),
        }
        match mode {
            None => make_directories(&real),
            Some(_) => fs::DirBuilder::new().mode(0o700).create(&real),
        }
    }

    fn give_folder(&self, path: &Path, mode: Option<u32>) -> io::Result<()> {
        let follow = if path.as_os_str().is_empty() { OFlags::empty() } else { OFlags::NOFOLLOW };
        let flags = (follow | OFlags::DIRECTORY).bits().cast_signed();
        let folder = OpenOptions::new().read(true).custom_flags(flags).open(self.target.join(path))?;
        let mode = mode.map_or_else(|| folder.metadata().map(|found| found.mode()), Ok)?;
        give(&folder, Numbers { mode, uid: self.uid, gid: self.gid })
    }

    fn write_file(&self, path: &Path, node: &Node, entry: impl io::Read) -> io::Result<()> {
        let Node::File { mode, size, digest, position: _ } = node else { return Ok(()) };
        self.check_above(path)?;
        let mut draft = Draft::begin(&self.target.join(path), Name::Usual)?;
        if stream::copy(entry, draft.file())? != (*size, *digest) {
            return Err(changed_meanwhile());
        }
        draft.commit(Numbers { mode: *mode, uid: self.uid, gid: self.gid })
    }

    fn link(&self, path: &Path, target: &Path) -> io::Result<()> {
        self.check_above(path)?;
        let real = self.target.join(path);
        let draft = Name::Usual.path(&real)?;
        match fs::remove_file(&draft) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
            _ => {}
        }
        symlink(target, &draft)?;
        lchown(&draft, self.uid, self.gid)?;
        fs::rename(&draft, &real).inspect_err(|_| {
            let _ = fs::remove_file(&draft);
        })
    }

    /// Whether the folders above are folders still: who owns the target may put links there at any time.
    fn check_above(&self, path: &Path) -> io::Result<()> {
        for above in path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
            if !fs::symlink_metadata(self.target.join(above))?.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
        }
        Ok(())
    }
}

/// What stands there; a link is followed only where it is the target itself.
fn look(real: &Path, is_target: bool) -> io::Result<Metadata> {
    if is_target { fs::metadata(real) } else { fs::symlink_metadata(real) }
}

fn open(real: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(real)
}

fn changed_meanwhile() -> io::Error {
    invalid("the archive was changed while it was unpacked".to_owned())
}

/// An error about an entry.
fn at(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    let path = shown(path);
    move |err| io::Error::new(err.kind(), format!("could not write its entry `{path}`: {err}"))
}

#[cfg(test)]
mod tests;
