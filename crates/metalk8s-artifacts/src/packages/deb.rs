//! Packages for Debian: an `ar` file of a format number, `control.tar.gz` and `data.tar.zst` (deb(5)).
//!
//! Debian 12's dpkg (since 1.21.18) and Ubuntu's since 18.10 read zstd.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder};
use md5::{Digest, Md5};

use super::{Entry, EntryKind, Package, Scripts, apt::AptPackage};
use crate::digest::sha256;

/// The only architecture there is.
pub const ARCHITECTURE: &str = "amd64";

/// Level of zstd: beyond it the programs inside get little smaller and the build much slower.
const LEVEL: i32 = 12;

/// Why a package could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteDebError {
    /// A path that is not absolute, or that could leave the root.
    #[error("the package `{package}` cannot hold the path `{path}`")]
    Path {
        /// The package.
        package: String,
        /// The path.
        path: String,
    },
    /// The contents of a file could not be read.
    #[error("could not read `{path}` for the package `{package}`")]
    Contents {
        /// The package.
        package: String,
        /// The path in the package.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The package could not be put together or written.
    #[error("could not write the package `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The usual file name of a package, such as `runc_1.5.2-1_amd64.deb`.
pub fn file_name(package: &Package) -> String {
    format!("{}_{}_{ARCHITECTURE}.deb", package.name, package.full_version())
}

/// Writes a package to `out`, with all times at `date` (seconds since 1970).
///
/// The answer describes it for the repository's index, with `file_name` as its place there.
pub fn write(package: &Package, date: u64, out: &Path, file_name: &str) -> Result<AptPackage, WriteDebError> {
    let failed = |source| WriteDebError::Write { path: out.to_owned(), source };
    let data = data(package, date)?;
    let control_text = control(package, data.installed);
    let control_archive = control_archive(package, &control_text, &data.md5sums, date).map_err(failed)?;
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, contents) in [
        ("debian-binary", b"2.0\n".as_slice()),
        ("control.tar.gz", &control_archive),
        ("data.tar.zst", &data.archive),
    ] {
        let size = contents.len();
        writeln!(bytes, "{name:<16}{date:<12}{:<6}{:<6}{:<8}{size:<10}`", 0, 0, "100644").map_err(failed)?;
        bytes.extend_from_slice(contents);
        if size % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    fs::write(out, &bytes).map_err(failed)?;
    Ok(AptPackage {
        control: control_text,
        file_name: file_name.to_owned(),
        size: bytes.len() as u64,
        sha256: sha256(&bytes),
    })
}

/// `data.tar.zst` and what is told about it elsewhere in the package.
struct Data {
    archive: Vec<u8>,
    md5sums: String,
    /// Bytes on the host.
    installed: u64,
}

fn data(package: &Package, date: u64) -> Result<Data, WriteDebError> {
    let contents = |path: &str, source| WriteDebError::Contents {
        package: package.name.clone(),
        path: path.to_owned(),
        source,
    };
    let encoder = zstd::Encoder::new(Vec::new(), LEVEL).map_err(|source| contents("/", source))?;
    let mut writer = Writer {
        archive: tar::Builder::new(encoder),
        folders: BTreeSet::new(),
        date,
        md5sums: String::new(),
        installed: 0,
    };
    let mut entries: Vec<&Entry> = package.entries.iter().collect();
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    for entry in entries {
        let path = entry.path.as_str();
        let name = member_name(path)
            .ok_or_else(|| WriteDebError::Path { package: package.name.clone(), path: path.to_owned() })?;
        writer.add(&name, &entry.kind).map_err(|source| contents(path, source))?;
    }
    let Writer { archive, md5sums, installed, folders: _, date: _ } = writer;
    let archive =
        archive.into_inner().and_then(zstd::Encoder::finish).map_err(|source| contents("/", source))?;
    Ok(Data { archive, md5sums, installed })
}

struct Writer {
    archive: tar::Builder<zstd::Encoder<'static, Vec<u8>>>,
    /// Folders that are already in the archive.
    folders: BTreeSet<String>,
    date: u64,
    md5sums: String,
    installed: u64,
}

impl Writer {
    fn add(&mut self, name: &str, kind: &EntryKind) -> io::Result<()> {
        // dpkg expects every folder on the way; sorted paths bring a package's own folder before its files.
        for (slash, _) in name.match_indices('/') {
            self.add_folder(&name[..=slash], 0o755)?;
        }
        match kind {
            EntryKind::Directory { mode } => self.add_folder(&format!("{name}/"), *mode),
            EntryKind::Link { target } => {
                let mut header = header(name, tar::EntryType::Symlink, 0o777, 0, self.date)?;
                header.set_link_name_literal(target)?;
                header.set_cksum();
                self.archive.append(&header, io::empty())
            }
            EntryKind::File { source, mode, config: _ } => {
                let contents = source.read()?;
                let size = contents.len() as u64;
                self.installed += size;
                let sum = hex::encode(Md5::digest(&contents));
                self.md5sums.push_str(&format!("{sum}  {}\n", &name[2..]));
                let header = header(name, tar::EntryType::Regular, *mode, size, self.date)?;
                self.archive.append(&header, contents.as_slice())
            }
        }
    }

    fn add_folder(&mut self, name: &str, mode: u32) -> io::Result<()> {
        if !self.folders.insert(name.to_owned()) {
            return Ok(());
        }
        let header = header(name, tar::EntryType::Directory, mode, 0, self.date)?;
        self.archive.append(&header, io::empty())
    }
}

/// `./usr/bin/runc` for `/usr/bin/runc`; nothing for what is no plain absolute path.
fn member_name(path: &str) -> Option<String> {
    let relative = path.strip_prefix('/')?;
    let plain = relative.split('/').all(|part| !matches!(part, "" | "." | ".."));
    (plain && !relative.contains(['\n', '\0'])).then(|| format!("./{relative}"))
}

/// A header owned by root. Names beyond tar's 100 bytes are refused: no path of ours comes near.
fn header(name: &str, kind: tar::EntryType, mode: u32, size: u64, date: u64) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_gnu();
    let field = &mut header.as_old_mut().name;
    if name.len() > field.len() {
        return Err(io::Error::other(format!("the path is longer than {} bytes", field.len())));
    }
    // Written directly, because `set_path` drops the leading `./` that Debian's own packages have.
    field[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_username("root")?;
    header.set_groupname("root")?;
    header.set_mtime(date);
    header.set_size(size);
    header.set_cksum();
    Ok(header)
}

/// The fields of `DEBIAN/control`; `installed` in bytes.
fn control(package: &Package, installed: u64) -> String {
    let mut text = String::new();
    let mut field = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("{name}: {value}\n"));
        }
    };
    field("Package", &package.name);
    field("Version", &package.full_version());
    field("Architecture", ARCHITECTURE);
    field("Maintainer", "MetalK8s <metalk8s@localhost>");
    field("Installed-Size", &installed.div_ceil(1024).to_string());
    field("Depends", &package.relations.depends.join(", "));
    field("Conflicts", &package.relations.conflicts.join(", "));
    field("Replaces", &package.relations.replaces.join(", "));
    field("Provides", &package.relations.provides.join(", "));
    field("Section", "admin");
    field("Priority", "optional");
    field("Description", &package.summary);
    for line in package.description.trim().lines() {
        let line = line.trim_end();
        text.push_str(if line.is_empty() { " ." } else { " " });
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn control_archive(package: &Package, control: &str, md5sums: &str, date: u64) -> io::Result<Vec<u8>> {
    let config_files: String = package
        .entries
        .iter()
        .filter(|entry| matches!(entry.kind, EntryKind::File { config: true, .. }))
        .map(|entry| format!("{}\n", entry.path))
        .collect();
    let Scripts { after_install, before_remove, after_remove } = &package.scripts;
    let script = |body: &str| {
        if body.is_empty() { String::new() } else { format!("#!/bin/sh\nset -e\n{body}") }
    };
    let encoder = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    let mut archive = tar::Builder::new(encoder);
    archive.append(&header("./", tar::EntryType::Directory, 0o755, 0, date)?, io::empty())?;
    for (name, contents, mode) in [
        ("./conffiles", config_files, 0o644),
        ("./control", control.to_owned(), 0o644),
        ("./md5sums", md5sums.to_owned(), 0o644),
        ("./postinst", script(after_install), 0o755),
        ("./postrm", script(after_remove), 0o755),
        ("./prerm", script(before_remove), 0o755),
    ] {
        if !contents.is_empty() {
            let size = contents.len() as u64;
            let header = header(name, tar::EntryType::Regular, mode, size, date)?;
            archive.append(&header, contents.as_bytes())?;
        }
    }
    archive.into_inner()?.finish()
}

#[cfg(test)]
mod tests;
