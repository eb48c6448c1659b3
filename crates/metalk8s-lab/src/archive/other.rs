//! An archive of another version, made from one that is there: what it holds is the same, its program too, and it is
//! signed by a key of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use metalk8s_artifacts::{
    digest::sha256,
    manifest::{FileEntry, MANIFEST, SIGNATURE},
    read_archive,
    signature::PrivateKey,
};

use crate::process;

const PRODUCT_FILE: &str = "product.txt";
const PUBLIC_KEY: &str = "keys/archive.pub";

/// A version that differs from this one in its last digit.
pub fn other_version(version: &str) -> Result<String> {
    let at = version.rfind(|c: char| c.is_ascii_digit()).context("a version has a digit")?;
    let digit = if &version[at..=at] == "9" { "8" } else { "9" };
    Ok(format!("{}{digit}{}", &version[..at], &version[at + 1..]))
}

/// Makes it in `folder` by xorriso; gives its version and its path.
pub fn make(iso: &Path, folder: &Path) -> Result<(String, PathBuf)> {
    let mut archive = read_archive(iso)?;
    let version = other_version(&archive.product.version)?;
    let key = PrivateKey::from_seed(&[9; 32]);
    archive.product.version.clone_from(&version);
    archive.manifest.version.clone_from(&version);
    let files =
        [(PRODUCT_FILE, archive.product.render().into_bytes()), (PUBLIC_KEY, key.public_pem().into_bytes())];
    for (path, bytes) in &files {
        let entry = FileEntry { size: bytes.len() as u64, sha256: sha256(bytes) };
        let known = archive.manifest.files.insert((*path).to_owned(), entry);
        ensure!(known.is_some(), "the archive has no `{path}`");
    }
    let manifest = archive.manifest.render();
    let signature = key.sign(&manifest).into_bytes();
    let files = files.into_iter().chain([(MANIFEST, manifest), (SIGNATURE, signature)]);
    let made = folder.join(format!("metalk8s-{version}.iso"));
    let mut command = Command::new("xorriso");
    command
        .args(["-report_about", "SORRY", "-abort_on", "FAILURE", "-indev"])
        .arg(iso)
        .arg("-outdev")
        .arg(&made);
    command.args(["-joliet", "on", "-overwrite", "on"]);
    for (path, bytes) in files {
        let new = folder.join("new").join(path);
        fs::create_dir_all(new.parent().context("it has a folder")?)?;
        fs::write(&new, bytes)?;
        command.arg("-map").arg(&new).arg(format!("/{path}"));
    }
    let output = process::capture(&mut command, None, Duration::from_secs(300))?;
    ensure!(output.success(), "xorriso ended with {}: {}", output.code, output.stderr);
    Ok((version, made))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_as_long_and_is_not_the_same() {
        for (version, other) in [("0.1.0", "0.1.9"), ("1.2.9", "1.2.8"), ("0.1.0-dev", "0.1.9-dev")] {
            assert_eq!(other_version(version).unwrap(), other);
        }
        assert!(other_version("none").is_err());
    }
}
