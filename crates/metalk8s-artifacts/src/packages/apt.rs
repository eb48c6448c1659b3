//! What makes a folder of `.deb` files a repository: `Packages` and `Release` (Debian's RepositoryFormat).

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder};
use jiff::Timestamp;

use super::deb::ARCHITECTURE;
use crate::digest::sha256;

/// The only component of our repositories.
pub const COMPONENT: &str = "main";

/// One package as the index tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AptPackage {
    /// Its control fields, each line ended; those that tell of the file are not among them.
    pub control: String,
    /// Its place below the repository, such as `pool/main/runc_1.5.2-1_amd64.deb`.
    pub file_name: String,
    /// Bytes.
    pub size: u64,
    /// In hexadecimal.
    pub sha256: String,
}

/// What a repository says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// Code name of the Debian release, such as `bookworm`.
    pub codename: String,
    /// Version of the product it belongs to.
    pub version: String,
    /// Seconds since 1970.
    pub date: u64,
}

/// Why the indexes of a repository could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteIndexesError {
    /// A file could not be written.
    #[error("could not write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A time that no calendar knows.
    #[error("{date} seconds since 1970 is no date")]
    Date {
        /// The time.
        date: u64,
    },
}

/// The value of a field of a control text, of its first line only.
pub fn field<'a>(control: &'a str, name: &str) -> Option<&'a str> {
    control.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// Writes the indexes of a repository below `root` and hands back the folder of `Release`, and its text.
///
/// `Release` itself is written too. The caller signs that text: as `InRelease` with the text inside, and as
/// `Release.gpg` beside it.
pub fn write_indexes(
    root: &Path,
    suite: &Suite,
    packages: &[AptPackage],
) -> Result<(PathBuf, String), WriteIndexesError> {
    let folder = root.join("dists").join(&suite.codename);
    let binary = format!("{COMPONENT}/binary-{ARCHITECTURE}");
    let write = |name: &str, contents: &[u8]| {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(&folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, contents))
            .map_err(|source| WriteIndexesError::Write { path: path.clone(), source })
    };
    let index = index(packages).into_bytes();
    let compressed =
        gzip(&index).map_err(|source| WriteIndexesError::Write { path: folder.join(&binary), source })?;
    let files = [(format!("{binary}/Packages"), index), (format!("{binary}/Packages.gz"), compressed)];
    let mut release = head(suite)?;
    for (name, contents) in &files {
        write(name, contents)?;
        release.push_str(&format!(" {} {} {name}\n", sha256(contents), contents.len()));
    }
    write("Release", release.as_bytes())?;
    Ok((folder, release))
}

fn index(packages: &[AptPackage]) -> String {
    let mut packages: Vec<_> = packages.iter().collect();
    packages.sort_by(|one, other| one.file_name.cmp(&other.file_name));
    let mut text = String::new();
    for AptPackage { control, file_name, size, sha256 } in packages {
        text.push_str(control.trim_end());
        text.push_str(&format!("\nFilename: {file_name}\nSize: {size}\nSHA256: {sha256}\n\n"));
    }
    text
}

fn head(suite: &Suite) -> Result<String, WriteIndexesError> {
    let Suite { codename, version, date } = suite;
    let wrong = || WriteIndexesError::Date { date: *date };
    let second = i64::try_from(*date).map_err(|_| wrong())?;
    let date = Timestamp::from_second(second).map_err(|_| wrong())?;
    let date = date.strftime("%a, %d %b %Y %H:%M:%S UTC");
    Ok(format!(
        "Origin: MetalK8s\nLabel: MetalK8s {version}\nSuite: {codename}\nCodename: {codename}\n\
         Version: {version}\nDate: {date}\nArchitectures: {ARCHITECTURE}\nComponents: {COMPONENT}\n\
         Description: packages of MetalK8s {version}\nSHA256:\n"
    ))
}

/// Compressed without a name and a time.
pub(super) fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_sorted_and_the_release_names_every_index_by_its_sum() {
        let root = tempfile::tempdir().unwrap();
        let package = |name: &str| AptPackage {
            control: format!("Package: {name}\nVersion: 1-1\n"),
            file_name: format!("pool/main/{name}.deb"),
            size: 7,
            sha256: "ab".repeat(32),
        };
        let suite = Suite { codename: "bookworm".to_owned(), version: "0.1.0".to_owned(), date: 0 };
        let (folder, release) =
            write_indexes(root.path(), &suite, &[package("socat"), package("runc")]).unwrap();
        let index = fs::read_to_string(folder.join("main/binary-amd64/Packages")).unwrap();
        assert_eq!(index.matches("Package: ").count(), 2);
        assert!(index.find("runc") < index.find("socat"));
        assert!(index.starts_with("Package: runc\nVersion: 1-1\nFilename: pool/main/runc.deb\nSize: 7\n"));
        assert!(release.contains("Date: Thu, 01 Jan 1970 00:00:00 UTC\n"), "{release}");
        for name in ["main/binary-amd64/Packages", "main/binary-amd64/Packages.gz"] {
            let bytes = fs::read(folder.join(name)).unwrap();
            let line = format!(" {} {} {name}\n", sha256(&bytes), bytes.len());
            assert!(release.contains(&line), "{release}");
        }
        assert_eq!(fs::read_to_string(folder.join("Release")).unwrap(), release);
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let control = "Package: runc\nVersion: 1\nInstalled-Size: 3\n";
        assert_eq!(field(control, "Package"), Some("runc"));
        assert_eq!(field(control, "Size"), None);
    }
}
