//! Folders, files and commands of the computer that tests run on.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use walkdir::WalkDir;

pub(crate) fn source_tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// On the disk of the build, which programs may be started from.
pub(crate) fn temporary() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// All files below a folder, relative to it, sorted.
pub(crate) fn files(folder: impl AsRef<Path>) -> Vec<String> {
    let folder = folder.as_ref();
    let mut files: Vec<String> = WalkDir::new(folder)
        .into_iter()
        .map(|entry| entry.unwrap())
        .filter(|entry| !entry.file_type().is_dir())
        .map(|entry| entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    files
}

/// Changes one byte in the middle of a file.
pub(crate) fn flip_a_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Runs a command; gives all it printed, or all it printed as an error.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    let output = command.env("LC_ALL", "C.UTF-8").output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}
