//! The authorities of a cluster on the node that holds them: where the keys of the roots are, and new authorities
//! that sign in their place (PKI-05).
//!
//! Begin with [`standing`]. A root's key is open on this machine, protected by a password, or elsewhere. Only the
//! renewal of the authorities needs it.
//!
//! Invariants: a key leaves its place only when what replaces it was written and read back; no key of another root
//! is overwritten; a command that was killed is repeated.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use metalk8s_diagnostics::{Code, Diagnose, Hint, code_of_io, explain};
use metalk8s_engine::StateError;
use metalk8s_formulas::{AUTHORITY_LIFETIME, AuthorityFiles, authorities, issuing};
use metalk8s_host::Host;
use metalk8s_pki::{
    Life, ProtectError, Reason, check_authority, check_issuing_authority, inspect_certificate, protect,
    unprotect,
};
use serde::Serialize;

use crate::file::write;

/// Where the key of a root is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyPlace {
    /// On this machine, readable by root.
    Open,
    /// On this machine, with a password.
    Protected,
    /// Not on this machine.
    Away,
}

/// The authorities of a realm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The common name of the root.
    pub name: &'static str,
    /// The certificate of the root.
    pub root: PathBuf,
    /// When the root ends; `None` where it cannot be read.
    pub root_ends: Option<Timestamp>,
    /// When two thirds of its life are over, and it should be renewed.
    pub root_due: Option<Timestamp>,
    /// Where the root's key is.
    pub root_key: KeyPlace,
    /// The certificate of the authority that signs in its place.
    pub issuing: PathBuf,
    /// When that one ends; `None` where it cannot be read.
    pub issuing_ends: Option<Timestamp>,
    /// When two thirds of its life are over, and it should be renewed.
    pub issuing_due: Option<Timestamp>,
}

/// What is done with the authorities of one realm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deed {
    /// The common name of the root.
    pub name: &'static str,
    /// What, for people.
    pub summary: String,
}

/// Why nothing more was done. Neither keys nor passwords are told.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// There is no root here.
    #[error("this machine has no authority: `{0}` does not exist")]
    NotHere(PathBuf),
    /// The root's key is not where it was looked for.
    #[error("the key of the root `{name}` is not at `{path}`")]
    KeyMissing {
        /// The root.
        name: &'static str,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A key is not that of the root.
    #[error("`{path}` is not the key of the root `{name}`: {reason}")]
    AnotherKey {
        /// The root.
        name: &'static str,
        /// The key.
        path: PathBuf,
        /// Why.
        reason: Reason,
    },
    /// The password does not open the key, or the key is none.
    #[error("the key `{path}` cannot be used")]
    Protected {
        /// The key.
        path: PathBuf,
        /// Why.
        #[source]
        source: ProtectError,
    },
    /// A file could not be read, written or removed.
    #[error("could not use `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An authority could not be made.
    #[error(transparent)]
    Make(#[from] StateError),
}

impl Diagnose for AuthorityError {
    fn code(&self) -> Option<Code> {
        Some(match self {
            Self::NotHere(_) | Self::KeyMissing { .. } => explain::AUTHORITY_KEY_MISSING,
            Self::AnotherKey { .. } => explain::KEY_MISMATCH,
            Self::Protected { source: ProtectError::Password | ProtectError::EmptyPassword, .. } => {
                explain::KEY_PASSWORD
            }
            Self::Protected { .. } => explain::KEY_UNREADABLE,
            Self::File { source, .. } => code_of_io(source),
            Self::Make(_) => explain::STATE_FAILED,
        })
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::KeyMissing { .. } => {
                vec![Hint(
                    "`metalk8s authority list` tells where each key is; `--from FOLDER` names another place"
                        .into(),
                )]
            }
            _ => Vec::new(),
        }
    }
}

/// The keys of the roots, as a person has them.
pub struct RootKeys<'a> {
    /// The folder with protected keys; `None`: on this machine.
    pub folder: Option<&'a Path>,
    /// What opens them.
    pub password: Option<&'a str>,
}

/// The authorities of all realms, as they are now.
///
/// # Errors
/// When this machine has none.
pub fn standing(host: &Host) -> Result<Vec<Standing>, AuthorityError> {
    let now_of = |realm: &AuthorityFiles| {
        let life = |path: &Path| -> Result<Option<Life>, AuthorityError> {
            Ok(inspect_certificate(&text(host, path)?).map(|inspected| inspected.life))
        };
        let (root, issuing) = (life(&realm.certificate)?, life(&realm.issuing_certificate)?);
        Ok(Standing {
            name: realm.common_name,
            root: realm.certificate.clone(),
            root_ends: root.map(|life| life.end),
            root_due: root.map(Life::due),
            root_key: place(host, realm)?,
            issuing: realm.issuing_certificate.clone(),
            issuing_ends: issuing.map(|life| life.end),
            issuing_due: issuing.map(Life::due),
        })
    };
    realms(host)?.iter().map(now_of).collect()
}

/// Puts a password on the keys of the roots that are open here, beside the certificate or in the folder `to`. Keys
/// that are protected already go there as they are.
///
/// # Errors
/// When a key is damaged, or the folder has other ones. What was done by then is whole.
pub fn protect_roots(
    host: &Host,
    password: &str,
    to: Option<&Path>,
    dry_run: bool,
) -> Result<Vec<Deed>, AuthorityError> {
    let mut deeds = Vec::new();
    for realm in realms(host)? {
        let beside = protected_path(&realm, None);
        let target = protected_path(&realm, to);
        let open = text(host, &realm.key)?;
        let protected = if open.is_empty() { text(host, &beside)? } else { String::new() };
        if open.is_empty() && (protected.is_empty() || beside == target) {
            continue;
        }
        deeds.push(Deed {
            name: realm.common_name,
            summary: match (open.is_empty(), to) {
                (false, _) => format!("protect {} as {}", realm.key.display(), target.display()),
                (true, _) => format!("move {} to {}", beside.display(), target.display()),
            },
        });
        if dry_run {
            continue;
        }
        if open.is_empty() {
            let there = text(host, &target)?;
            if !there.is_empty() && there != protected {
                return Err(occupied(target));
            }
            written(host, &target, &protected)?;
            remove(host, &beside)?;
            continue;
        }
        belongs(host, &realm, &realm.key, &open)?;
        if !is_protected_at(host, &target, &open, password)? {
            let pem = protect(&open, password)
                .map_err(|source| AuthorityError::Protected { path: realm.key.clone(), source })?;
            written(host, &target, &pem)?;
            if !is_protected_at(host, &target, &open, password)? {
                return Err(AuthorityError::Protected { path: target, source: ProtectError::Password });
            }
        }
        remove(host, &realm.key)?;
        if beside != target {
            remove(host, &beside)?;
        }
    }
    Ok(deeds)
}

/// The keys of roots on this machine that are on the same file system as a folder, which may not be there yet. Moved
/// there, they would leave their place and not the disk.
///
/// # Errors
/// When this machine has no authority, or the folder cannot be looked for.
pub fn not_apart(host: &Host, folder: &Path) -> Result<Vec<PathBuf>, AuthorityError> {
    let target = file_system(&host.real(folder)?)?;
    let mut keys = Vec::new();
    for realm in realms(host)? {
        for path in [protected_path(&realm, None), realm.key] {
            if !text(host, &path)?.is_empty() && file_system(&host.real(&path)?)? == target {
                keys.push(path);
            }
        }
    }
    Ok(keys)
}

/// Brings the keys of the roots back to this machine without a password.
///
/// # Errors
/// When a key is not there, or cannot be opened.
pub fn unprotect_roots(host: &Host, keys: &RootKeys<'_>, dry_run: bool) -> Result<Vec<Deed>, AuthorityError> {
    let mut deeds = Vec::new();
    for realm in realms(host)? {
        if place(host, &realm)? == KeyPlace::Open {
            continue;
        }
        let from = protected_path(&realm, keys.folder);
        deeds.push(Deed {
            name: realm.common_name,
            summary: format!("open {} as {}", from.display(), realm.key.display()),
        });
        if dry_run {
            continue;
        }
        let open = root_key(host, &realm, keys)?;
        written(host, &realm.key, &open)?;
        remove(host, &protected_path(&realm, None))?;
    }
    Ok(deeds)
}

/// Makes the authorities that are due anew, or all that sign in a root's place; certificates that former ones have
/// signed stay good. These live by the life of the certificates that they sign, in seconds; a root keeps its key.
///
/// # Errors
/// When a root's key cannot be had.
pub fn renew_authorities(
    host: &Host,
    keys: &RootKeys<'_>,
    lifetime_seconds: u64,
    all: bool,
    dry_run: bool,
) -> Result<Vec<Deed>, AuthorityError> {
    let mut deeds = Vec::new();
    for (realm, wish) in realms(host)?.into_iter().zip(issuing(lifetime_seconds)) {
        let life = inspect_certificate(&text(host, &realm.certificate)?).map(|inspected| inspected.life);
        let now = Timestamp::now();
        if let Some(life) = life.filter(|life| life.is_due(now)) {
            let reason = if now < life.end { Reason::Due(life.end) } else { Reason::Expired(life.end) };
            deeds.push(Deed {
                name: realm.common_name,
                summary: format!("renew {} with its own key: {reason}", realm.certificate.display()),
            });
            if !dry_run {
                let key = root_key(host, &realm, keys)?;
                host.renew_authority(&realm.certificate, &key, AUTHORITY_LIFETIME)?;
            }
        }
        let (certificate, key) = (text(host, &wish.certificate)?, text(host, &wish.key)?);
        let root = text(host, &wish.root_certificate)?;
        let reason = check_issuing_authority(&certificate, &key, &root, &wish.common_name, Timestamp::now());
        let why = match reason {
            Some(reason) => reason.to_string(),
            None if all => "all were asked for".to_owned(),
            None => continue,
        };
        deeds.push(Deed {
            name: realm.common_name,
            summary: format!("make {} anew: {why}", wish.certificate.display()),
        });
        if !dry_run {
            host.make_issuing_authority(&wish, &root_key(host, &realm, keys)?)?;
        }
    }
    Ok(deeds)
}

/// Whether a password is needed to have the keys of the roots.
///
/// # Errors
/// When this machine has no authority.
pub fn needs_password(host: &Host, folder: Option<&Path>) -> Result<bool, AuthorityError> {
    for realm in realms(host)? {
        if folder.is_some() || place(host, &realm)? != KeyPlace::Open {
            return Ok(true);
        }
    }
    Ok(false)
}

fn realms(host: &Host) -> Result<[AuthorityFiles; 4], AuthorityError> {
    let realms = authorities();
    for realm in &realms {
        // Nodes that joined have certificates of roots, and never one of an authority that signs.
        for path in [&realm.certificate, &realm.issuing_certificate] {
            if text(host, path)?.is_empty() {
                return Err(AuthorityError::NotHere(path.clone()));
            }
        }
    }
    Ok(realms)
}

fn place(host: &Host, realm: &AuthorityFiles) -> Result<KeyPlace, AuthorityError> {
    let is_there = |path: &Path| Ok::<_, AuthorityError>(!text(host, path)?.is_empty());
    Ok(match (is_there(&realm.key)?, is_there(&protected_path(realm, None))?) {
        (true, _) => KeyPlace::Open,
        (false, true) => KeyPlace::Protected,
        (false, false) => KeyPlace::Away,
    })
}

/// The root's key in PEM, opened.
fn root_key(host: &Host, realm: &AuthorityFiles, keys: &RootKeys<'_>) -> Result<String, AuthorityError> {
    let open = text(host, &realm.key)?;
    if keys.folder.is_none() && !open.is_empty() {
        belongs(host, realm, &realm.key, &open)?;
        return Ok(open);
    }
    let path = protected_path(realm, keys.folder);
    let protected = text(host, &path)?;
    if protected.is_empty() {
        return Err(AuthorityError::KeyMissing { name: realm.common_name, path });
    }
    let opened = unprotect(&protected, keys.password.unwrap_or_default())
        .map_err(|source| AuthorityError::Protected { path: path.clone(), source })?;
    belongs(host, realm, &path, &opened)?;
    Ok(opened)
}

fn belongs(host: &Host, realm: &AuthorityFiles, path: &Path, key: &str) -> Result<(), AuthorityError> {
    let certificate = text(host, &realm.certificate)?;
    match check_authority(&certificate, key, realm.common_name, Timestamp::now()) {
        None | Some(Reason::Due(_) | Reason::Expired(_)) => Ok(()),
        Some(reason) => {
            Err(AuthorityError::AnotherKey { name: realm.common_name, path: path.to_owned(), reason })
        }
    }
}

/// Where a protected key is: beside the open one, or by the name of its root in a folder.
fn protected_path(realm: &AuthorityFiles, folder: Option<&Path>) -> PathBuf {
    match folder {
        Some(folder) => folder.join(format!("{}.key", realm.common_name)),
        None => realm.key.with_extension("key.protected"),
    }
}

/// The number of the file system on which an absolute path is, or will be once its folders are made.
fn file_system(path: &Path) -> Result<u64, AuthorityError> {
    for place in path.ancestors() {
        match fs::metadata(place) {
            Ok(found) => return Ok(found.dev()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(AuthorityError::File { path: path.to_owned(), source }),
        }
    }
    Err(AuthorityError::File { path: path.to_owned(), source: io::ErrorKind::NotFound.into() })
}

/// Whether `path` is this key under this password. Another one there is an error: it may be the only copy.
fn is_protected_at(host: &Host, path: &Path, open: &str, password: &str) -> Result<bool, AuthorityError> {
    let there = text(host, path)?;
    match unprotect(&there, password) {
        _ if there.is_empty() => Ok(false),
        Ok(opened) if is_same(&opened, open) => Ok(true),
        _ => Err(occupied(path.to_owned())),
    }
}

/// Whether both are the same PEM, however it was broken into lines.
fn is_same(one: &str, other: &str) -> bool {
    let characters = |text: &str| text.split_whitespace().collect::<String>();
    characters(one) == characters(other)
}

fn occupied(path: PathBuf) -> AuthorityError {
    let source = io::Error::new(io::ErrorKind::AlreadyExists, "another key, or another password, is there");
    AuthorityError::File { path, source }
}

fn text(host: &Host, path: &Path) -> Result<String, AuthorityError> {
    Ok(host.read_text(path)?.unwrap_or_default())
}

fn written(host: &Host, path: &Path, text: &str) -> Result<(), AuthorityError> {
    let real = host.real(path)?;
    write(&real, text.as_bytes(), 0o600)
        .map_err(|source| AuthorityError::File { path: path.to_owned(), source })
}

fn remove(host: &Host, path: &Path) -> Result<(), AuthorityError> {
    match fs::remove_file(host.real(path)?) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(AuthorityError::File { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
