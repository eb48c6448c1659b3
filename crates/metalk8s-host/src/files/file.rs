//! Regular files.

use std::{
    fs::{self, Metadata, OpenOptions},
    io::{self, BufReader, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use metalk8s_engine::{
    Change, ChangeKind, StateError,
    state::{Contents, File},
};
use rustix::fs::OFlags;

use super::{
    draft::{Draft, Name},
    owner::{Wished, give},
};
use crate::{Host, doing::Doing, fingerprint};

/// Texts longer than this are not shown in plans.
const MOST_SHOWN: u64 = 64 << 10;
/// Comparing more than this is handed to a thread for blocking work.
const LONG_WORK: u64 = 1 << 20;
/// Keys and passwords are far smaller.
const MOST_SECRET: usize = 1 << 20;

/// What stands at the path now.
enum Found {
    Nothing,
    /// Something that is no regular file, such as a link: it is replaced.
    Other,
    File(fs::File, Metadata),
}

pub(crate) async fn check(host: &Host, wish: &File) -> Result<Option<Change>, StateError> {
    let path = wish.path.display();
    let mut found = match find(host, &wish.path)? {
        Found::Nothing => {
            let change = Change::new(ChangeKind::Create, format!("create {path}"));
            return with_texts(host, wish, None, change).map(Some);
        }
        Found::Other => {
            return Ok(Some(Change::new(ChangeKind::Update, format!("replace {path} by a regular file"))));
        }
        Found::File(file, metadata) => (file, metadata),
    };
    if !holds(host, wish, &mut found).await? {
        let change = Change::new(ChangeKind::Update, format!("write {path}"));
        return with_texts(host, wish, Some(&mut found), change).map(Some);
    }
    let differences = wished(wish, Some(&found.1)).differences(host, &found.1)?;
    Ok((!differences.is_empty())
        .then(|| Change::new(ChangeKind::Update, format!("change {path}: {}", differences.join(", ")))))
}

pub(crate) async fn apply(host: &Host, wish: &File) -> Result<(), StateError> {
    let doing = || format!("could not write `{}`", wish.path.display());
    let found = find(host, &wish.path)?;
    let metadata = match &found {
        Found::File(_, metadata) => Some(metadata),
        Found::Nothing | Found::Other => None,
    };
    let numbers = wished(wish, metadata).numbers(host)?;
    if let Found::File(file, metadata) = found {
        let mut found = (file, metadata);
        if holds(host, wish, &mut found).await? {
            return give(&found.0, numbers).doing(doing);
        }
    }
    let target = host.real(&wish.path)?;
    let name = if wish.validate.is_some() { Name::ForValidation } else { Name::Usual };
    let mut draft = Draft::begin(&target, name).doing(doing)?;
    if let Contents::CopyOf(source) = &wish.contents {
        draft = copy(host.real(source)?, draft)
            .await
            .doing(|| format!("could not copy `{}` to `{}`", source.display(), wish.path.display()))?;
    } else {
        let bytes = bytes(host, &wish.contents)?.map_err(|secret| missing_secret(wish, &secret))?;
        draft.file().write_all(&bytes).doing(doing)?;
    }
    if let Some(validate) = &wish.validate {
        accept(host, wish, validate, name).await?;
    }
    draft.commit(numbers).doing(doing)
}

/// A file whose mode is not wished for keeps the one it has.
fn wished<'w>(wish: &'w File, found: Option<&Metadata>) -> Wished<'w> {
    let mode = wish.mode.or(found.map(MetadataExt::mode)).unwrap_or(0o644);
    Wished { mode, user: wish.user.as_deref(), group: wish.group.as_deref() }
}

fn find(host: &Host, path: &Path) -> Result<Found, StateError> {
    let real = host.real(path)?;
    // Without `NONBLOCK` opening a pipe would wait for its other end.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(&real);
    let doing = || format!("could not read `{}`", path.display());
    match opened {
        Ok(file) => {
            let metadata = file.metadata().doing(doing)?;
            match (metadata.is_file(), metadata.is_dir()) {
                (true, _) => Ok(Found::File(file, metadata)),
                (_, true) => Err(StateError::new(format!("`{}` is a directory, not a file", path.display()))),
                _ => Ok(Found::Other),
            }
        }
        Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Found::Nothing)
        }
        // ELOOP is a link, ENXIO a socket or a pipe.
        Err(_) if fs::symlink_metadata(&real).is_ok_and(|found| !found.is_file()) => Ok(Found::Other),
        Err(err) => Err(err).doing(doing),
    }
}

/// Whether the file holds what is wished. A source or a secret that is not there yet means that it does not.
async fn holds(host: &Host, wish: &File, found: &mut (fs::File, Metadata)) -> Result<bool, StateError> {
    if let Contents::Kept = wish.contents {
        return Ok(true);
    }
    if let Contents::CopyOf(source) = &wish.contents {
        let doing = || format!("could not compare `{}` with `{}`", wish.path.display(), source.display());
        let other = match fs::File::open(host.real(source)?) {
            Ok(other) => other,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(err) => return Err(err).doing(doing),
        };
        if other.metadata().doing(doing)?.len() != found.1.len() {
            return Ok(false);
        }
        let own = found.0.try_clone().doing(doing)?;
        if found.1.len() <= LONG_WORK {
            return same(own, other).doing(doing);
        }
        return tokio::task::spawn_blocking(|| same(own, other)).await.doing(doing)?.doing(doing);
    }
    let Ok(bytes) = bytes(host, &wish.contents)? else { return Ok(false) };
    if found.1.len() != bytes.len() as u64 {
        return Ok(false);
    }
    let mut now = Vec::with_capacity(bytes.len() + 1);
    (&found.0)
        .take(bytes.len() as u64 + 1)
        .read_to_end(&mut now)
        .doing(|| format!("could not read `{}`", wish.path.display()))?;
    Ok(now == *bytes)
}

/// The bytes wished for, or the secret that is not there yet.
fn bytes<'c>(
    host: &Host,
    contents: &'c Contents,
) -> Result<Result<std::borrow::Cow<'c, [u8]>, PathBuf>, StateError> {
    match contents {
        Contents::Text(text) => Ok(Ok(text.as_bytes().into())),
        Contents::Kept => Ok(Ok([].as_slice().into())),
        Contents::WithSecrets { text, secrets } => {
            let mut whole = text.clone();
            for (placeholder, path) in secrets {
                let Some(secret) = host.read(path)? else { return Ok(Err(path.clone())) };
                if secret.len() > MOST_SECRET {
                    return Err(StateError::new(format!("the secret `{}` is too large", path.display())));
                }
                let secret = std::str::from_utf8(&secret)
                    .map_err(|_| StateError::new(format!("the secret `{}` is not text", path.display())))?;
                whole = whole.replace(placeholder, secret.trim());
            }
            Ok(Ok(whole.into_bytes().into()))
        }
        // Copies are streamed, never held in memory.
        Contents::CopyOf(path) => Ok(Err(path.clone())),
    }
}

fn missing_secret(wish: &File, secret: &Path) -> StateError {
    StateError::new(format!("`{}` needs `{}`, which does not exist", wish.path.display(), secret.display()))
}

fn same(one: fs::File, other: fs::File) -> io::Result<bool> {
    let (mut one, mut other) = (BufReader::new(one), BufReader::new(other));
    let (mut left, mut right) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let read = one.read(&mut left)?;
        if read == 0 {
            return Ok(other.read(&mut right)? == 0);
        }
        match other.read_exact(&mut right[..read]) {
            Ok(()) if left[..read] == right[..read] => {}
            Ok(()) => return Ok(false),
            Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(err) => return Err(err),
        }
    }
}

async fn copy(source: PathBuf, mut draft: Draft) -> io::Result<Draft> {
    tokio::task::spawn_blocking(move || {
        io::copy(&mut fs::File::open(source)?, draft.file())?;
        Ok(draft)
    })
    .await
    .map_err(io::Error::other)?
}

async fn accept(host: &Host, wish: &File, validate: &[String], draft: Name) -> Result<(), StateError> {
    let refused = || format!("`{}` was not replaced: the new file was refused", wish.path.display());
    let [program, args @ ..] = validate else {
        return Err(StateError::new(format!("`{}` names no program to validate it", wish.path.display())));
    };
    let seen = host.path_for_programs(&draft.path(&wish.path).doing(refused)?)?;
    let seen = seen.to_string_lossy();
    host.program(program).args(args.iter().map(|arg| arg.replace("{}", &seen))).run().await.doing(refused)?;
    Ok(())
}

/// Whether everybody may read the file as it will be.
fn is_open(wish: &File, found: Option<&Metadata>) -> bool {
    wished(wish, found).mode & 0o004 != 0
}

/// The old text, where nothing speaks against showing it: it was open to everybody, as the new one is.
fn text_before(wish: &File, found: &mut (fs::File, Metadata)) -> io::Result<Option<String>> {
    let (file, metadata) = found;
    let shown = matches!(wish.contents, Contents::Text(_))
        && is_open(wish, Some(metadata))
        && metadata.mode() & 0o004 != 0;
    if !shown || metadata.len() > MOST_SHOWN {
        return Ok(None);
    }
    io::Seek::seek(file, io::SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(MOST_SHOWN).read_to_end(&mut bytes)?;
    Ok(String::from_utf8(bytes).ok())
}

/// The change with its texts, or what tells them apart where they may not be shown.
fn with_texts(
    host: &Host,
    wish: &File,
    mut found: Option<&mut (fs::File, Metadata)>,
    change: Change,
) -> Result<Change, StateError> {
    let before = match found.as_deref_mut() {
        Some(found) => {
            text_before(wish, found).doing(|| format!("could not read `{}`", wish.path.display()))?
        }
        None => None,
    };
    let found = found.as_deref();
    let after = match &wish.contents {
        Contents::Text(text)
            if text.len() as u64 <= MOST_SHOWN && is_open(wish, found.map(|(_, metadata)| metadata)) =>
        {
            Some(text.clone())
        }
        Contents::Text(_) | Contents::WithSecrets { .. } | Contents::CopyOf(_) | Contents::Kept => None,
    };
    let is_shown = after.is_some() && before.is_some() == found.is_some();
    let fingerprint = match bytes(host, &wish.contents)? {
        Ok(bytes) if !is_shown => fingerprint::of(host, found.map(|(file, _)| file), &bytes)?,
        _ => None,
    };
    Ok(Change { before, after, fingerprint, ..change })
}

#[cfg(test)]
mod tests;
