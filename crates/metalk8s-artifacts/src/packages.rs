//! System packages and the repositories that hold them.
//!
//! [`Package`] is one package as plain data, for either family of hosts. [`deb`] writes it as a file for
//! Debian; [`apt`] and [`dnf`] write what makes a folder of packages a repository.
//!
//! Nothing here signs: the texts to be signed are handed back to the caller.
//! Everything is sorted, owned by root and dated by the caller, so that two runs give the same bytes.

pub mod apt;
pub mod deb;
pub mod dnf;

use std::{fs, io, path::PathBuf};

/// One system package: what is known about it, and what it puts on a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Package {
    /// Such as `containerd`.
    pub name: String,
    /// Version of what is inside, such as `2.4.2`.
    pub version: String,
    /// Counts the packagings of that version, such as `1`.
    pub release: String,
    /// One line, without a full stop.
    pub summary: String,
    /// Paragraphs of plain text.
    pub description: String,
    /// SPDX expression.
    pub license: String,
    /// Other packages, in the words of the family the package is for.
    pub relations: Relations,
    /// What is installed, sorted by path. Folders that are only on the way need no entry.
    pub entries: Vec<Entry>,
    /// What runs on the host.
    pub scripts: Scripts,
}

impl Package {
    /// Version and release as the package manager shows them, such as `2.4.2-1`.
    pub fn full_version(&self) -> String {
        format!("{}-{}", self.version, self.release)
    }
}

/// Other packages, each as the package manager of the family writes it: `runc (>= 1.5)`, `runc >= 1.5`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Relations {
    /// Must be installed as well.
    pub depends: Vec<String>,
    /// Cannot be installed as well.
    pub conflicts: Vec<String>,
    /// Whose files this one may take over (Debian only).
    pub replaces: Vec<String>,
    /// Names it also answers to.
    pub provides: Vec<String>,
}

/// One path of a package, owned by root.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Absolute path on the host, without `..`.
    pub path: String,
    /// What lies there.
    pub kind: EntryKind,
}

/// What lies at a path.
#[derive(Debug, Clone, PartialEq)]
pub enum EntryKind {
    /// A folder that belongs to the package.
    Directory {
        /// Permission bits.
        mode: u32,
    },
    /// A file.
    File {
        /// Where its contents come from.
        source: Source,
        /// Permission bits.
        mode: u32,
        /// Whether a person may edit it: then it is kept by upgrades.
        config: bool,
    },
    /// A symbolic link.
    Link {
        /// What it points to, as written in the link.
        target: String,
    },
}

/// Where the contents of a file come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A file on the building computer.
    Path(PathBuf),
    /// These bytes.
    Bytes(Vec<u8>),
}

impl Source {
    /// The contents.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        match self {
            Self::Path(path) => fs::read(path),
            Self::Bytes(bytes) => Ok(bytes.clone()),
        }
    }
}

/// Shell text that the package manager runs on the host; empty: none.
///
/// Each gets the package manager's own argument and runs with `/bin/sh`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scripts {
    /// After the files are there.
    pub after_install: String,
    /// Before the files go.
    pub before_remove: String,
    /// After the files are gone.
    pub after_remove: String,
}
