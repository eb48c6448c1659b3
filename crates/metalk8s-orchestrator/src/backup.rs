//! Backups of the Bootstrap node (area BAK): what it was told, its authorities, and what etcd holds, in one file.
//!
//! [`make`] makes one; as the engine's hands, [`Keeper`] makes one where the newest has something else.
//!
//! Invariants: a backup is whole or not there, and readable by root alone; nothing is ever written over.

mod content;
mod error;
mod keeper;
mod snapshot;
mod tarball;

use std::{
    fs::{self, File},
    io,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use jiff::{Timestamp, tz::TimeZone};
use metalk8s_types::paths;
use serde::Serialize;

pub use error::BackupError;
pub use keeper::Keeper;

use crate::conductor::etcd::Etcd;
use content::Entry;

/// What a backup is called as long as it is not whole. One that was left by a run that was killed is in nobody's way.
const DRAFT: &str = ".backup.draft";
/// How names of backups begin and end; the time in UTC is between (constants.md, section 3).
const NAME: (&str, &str) = ("backup_", ".tar.gz");
/// Where the member of etcd on this machine serves.
const ETCD: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Made {
    /// The backup.
    pub file: PathBuf,
    /// How large it is, in bytes.
    pub bytes: u64,
    /// How many files of the configuration and the authorities are in it.
    pub files: usize,
    /// How large what etcd holds is in it, before it was compressed, in bytes.
    pub snapshot_bytes: u64,
}

/// Makes a backup of this machine: as this file, or in this folder under the name that the time gives.
///
/// Two at once would write the same draft: the caller holds [`paths::RUN_LOCK`].
///
/// # Errors
/// When something cannot be read or written, the file is there already, or etcd does not give all that it holds.
pub async fn make(place: Place<'_>, version: &str) -> Result<Made, BackupError> {
    let now = Timestamp::now();
    let file = match place {
        Place::File(file) => file.to_owned(),
        Place::Folder(folder) => folder.join(name(now)),
    };
    if file.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(file));
    }
    let entries = tokio::task::block_in_place(|| content::collect(Path::new("/")))?;
    let folder = folder_of(&file);
    let failed = |source| BackupError::File { path: folder.to_owned(), source };
    // It has no name, so nothing of it stays when this program is killed.
    let mut snapshot = tempfile::tempfile_in(folder).map_err(failed)?;
    Etcd::new(vec![ETCD])?.snapshot(ETCD, &mut snapshot::Parts::new(&mut snapshot)).await?;
    tokio::task::block_in_place(|| write(&file, version, now, &entries, snapshot))
}

/// Where a backup is to be.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// Exactly there.
    File(&'a Path),
    /// In this folder.
    Folder(&'a Path),
}

/// The newest backup of a folder, by its name; `None` where it has none, or is not there.
///
/// # Errors
/// When the folder cannot be read.
pub fn newest(folder: &Path) -> io::Result<Option<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    let names: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.file_name())).collect();
    let backups = names?.into_iter().filter(|name| name.to_str().is_some_and(is_name));
    Ok(backups.max().map(|name| folder.join(name)))
}

/// The newest backup of this machine, where it has one that can be found.
pub fn newest_here() -> Option<PathBuf> {
    newest(Path::new(paths::STATE_DIR)).ok().flatten()
}

fn name(now: Timestamp) -> String {
    let (before, after) = NAME;
    format!("{before}{}{after}", now.to_zoned(TimeZone::UTC).strftime("%Y%m%d_%H%M%S"))
}

fn is_name(name: &str) -> bool {
    let (before, after) = NAME;
    let moment = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    moment.and_then(|moment| moment.split_once('_')).is_some_and(|(day, time)| {
        let digits = |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
        digits(day, 8) && digits(time, 6)
    })
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Writes a backup that is whole or not there.
fn write(
    file: &Path,
    version: &str,
    now: Timestamp,
    entries: &[Entry],
    mut snapshot: File,
) -> Result<Made, BackupError> {
    let folder = folder_of(file);
    let failed = |source| BackupError::File { path: file.to_owned(), source };
    let whole = snapshot::verify(&mut snapshot).map_err(failed)?.ok_or(BackupError::Damaged)?;
    let _ = fs::remove_file(folder.join(DRAFT));
    let draft = tempfile::Builder::new().prefix(DRAFT).rand_bytes(0).tempfile_in(folder).map_err(failed)?;
    let metadata = format!("VERSION={version}\nDATE={}\n", now.strftime("%Y-%m-%dT%H:%M:%SZ"));
    let made = u64::try_from(now.as_second()).unwrap_or_default();
    tarball::write(draft.as_file(), made, &metadata, entries, &mut snapshot, &whole).map_err(failed)?;
    draft.as_file().sync_all().map_err(failed)?;
    let bytes = draft.as_file().metadata().map_err(failed)?.len();
    draft.persist_noclobber(file).map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists(file.to_owned()),
        _ => failed(error.error),
    })?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    let files = entries.iter().filter(|entry| entry.sum().is_some()).count();
    Ok(Made { file: file.to_owned(), bytes, files, snapshot_bytes: whole.bytes })
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        os::unix::fs::{MetadataExt, symlink},
        process::Command,
    };

    use metalk8s_artifacts::digest::sha256;

    use super::*;

    /// A machine with some of what belongs into a backup, and some that does not.
    pub(super) fn machine() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("etc/metalk8s/bootstrap.yaml", "kind: BootstrapConfiguration\n"),
            ("etc/metalk8s/agent.conf", "a kubeconfig"),
            ("etc/metalk8s/pki/repositories/ca.key", "a key"),
            ("etc/kubernetes/pki/ca.key", "another key"),
            ("etc/kubernetes/pki/apiserver.key", "one of a server"),
            ("etc/kubernetes/pki/sa.pub", "a public key"),
            ("etc/kubernetes/pki/etcd/issuing-ca.crt", "a certificate"),
            ("etc/kubernetes/pki/etcd/peer.key", "one of a peer"),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        symlink("bootstrap.yaml", root.path().join("etc/metalk8s/link")).unwrap();
        root
    }

    fn snapshot(text: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file.write_all(&hex::decode(sha256(text)).unwrap()).unwrap();
        file
    }

    fn now() -> Timestamp {
        "2026-11-29T01:02:03.4Z".parse().unwrap()
    }

    pub(super) fn made(root: &Path, file: &Path) -> Result<Made, BackupError> {
        write(file, "1.2.3", now(), &content::collect(root).unwrap(), snapshot(&[7; 1024]))
    }

    #[test]
    fn a_backup_is_unpacked_and_checked_by_the_tools_of_every_machine() {
        let (machine, place) = (machine(), tempfile::tempdir().unwrap());
        let file = place.path().join(name(now()));
        assert_eq!(file.file_name().unwrap(), "backup_20261129_010203.tar.gz");
        let made = made(machine.path(), &file).unwrap();
        assert_eq!((made.files, made.snapshot_bytes), (5, 1024 + 32));
        let metadata = fs::metadata(&file).unwrap();
        assert_eq!((metadata.mode() & 0o777, metadata.len()), (0o600, made.bytes));
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing is left beside it");

        let script = "tar --extract --gzip --xattrs --file \"$0\" && sha256sum --quiet --check .sha256sum && \
                      find . ! -type d -printf '%P\\n' | sort && cat .metadata && cat metalk8s/link && \
                      stat --format %Y .metadata .sha256sum etcd_snapshot | uniq";
        let output =
            Command::new("sh").args(["-c", script]).arg(&file).current_dir(place.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let told = String::from_utf8(output.stdout).unwrap();
        let expected = "\
            .metadata\n.sha256sum\nbackup_20261129_010203.tar.gz\netcd_snapshot\nkubernetes/pki/ca.key\n\
            kubernetes/pki/etcd/issuing-ca.crt\nkubernetes/pki/sa.pub\nmetalk8s/bootstrap.yaml\nmetalk8s/link\n\
            metalk8s/pki/repositories/ca.key\nVERSION=1.2.3\nDATE=2026-11-29T01:02:03Z\n\
            kind: BootstrapConfiguration\n1795914123\n";
        assert_eq!(told, expected);
    }

    #[test]
    fn attributes_of_files_are_kept() {
        let (machine, place) = (machine(), tempfile::tempdir().unwrap());
        let path = machine.path().join("etc/metalk8s/bootstrap.yaml");
        rustix::fs::setxattr(&path, "user.note", b"text", rustix::fs::XattrFlags::empty()).unwrap();
        let file = place.path().join("b.tar.gz");
        made(machine.path(), &file).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(File::open(&file).unwrap()));
        let mut entries = archive.entries().unwrap().map(Result::unwrap);
        let mut entry =
            entries.find(|entry| entry.path_bytes().as_ref() == b"metalk8s/bootstrap.yaml").unwrap();
        let attributes = entry.pax_extensions().unwrap().unwrap().map(Result::unwrap);
        let attributes: Vec<_> =
            attributes.map(|found| (found.key().unwrap().to_owned(), found.value_bytes().to_vec())).collect();
        assert!(
            attributes.contains(&("SCHILY.xattr.user.note".to_owned(), b"text".to_vec())),
            "{attributes:?}"
        );
    }

    #[test]
    fn nothing_is_written_over_and_a_draft_of_a_run_that_was_killed_is_in_nobodys_way() {
        let (machine, place) = (machine(), tempfile::tempdir().unwrap());
        fs::write(place.path().join(DRAFT), "half of one").unwrap();
        let file = place.path().join("mine.tar.gz");
        made(machine.path(), &file).unwrap();
        let bytes = fs::read(&file).unwrap();
        assert!(matches!(made(machine.path(), &file), Err(BackupError::Exists(path)) if path == file));
        assert_eq!(fs::read(&file).unwrap(), bytes);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_snapshot_makes_no_backup() {
        let (machine, place) = (machine(), tempfile::tempdir().unwrap());
        let file = place.path().join("b.tar.gz");
        let entries = content::collect(machine.path()).unwrap();
        let mut whole = Vec::new();
        let mut written = snapshot(&[7; 1024]);
        io::Seek::rewind(&mut written).unwrap();
        written.read_to_end(&mut whole).unwrap();
        whole[3] ^= 1;
        for bytes in [&whole[..], &whole[..40], &[]] {
            let mut damaged = tempfile::tempfile().unwrap();
            damaged.write_all(bytes).unwrap();
            let refused = write(&file, "1.2.3", now(), &entries, damaged);
            assert!(matches!(refused, Err(BackupError::Damaged)), "{refused:?}");
        }
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_newest_is_the_last_by_its_time_and_other_files_are_none() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(newest(&place.path().join("nowhere")).unwrap(), None);
        for name in ["backup_20261129_010203.tar.gz", "backup_20261128_235959.tar.gz"] {
            fs::write(place.path().join(name), "").unwrap();
        }
        for other in
            ["backup_99991231_235959.tar.gz.old", "backup_9.tar.gz", "backup_2026112x_010203.tar.gz", "runs"]
        {
            fs::write(place.path().join(other), "").unwrap();
        }
        let expected = place.path().join("backup_20261129_010203.tar.gz");
        assert_eq!(newest(place.path()).unwrap(), Some(expected));
    }
}
