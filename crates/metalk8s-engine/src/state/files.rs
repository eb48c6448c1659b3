//! Files, directories and links of a host.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A regular file with exactly these contents, written beside and renamed over the old one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct File {
    /// Absolute path.
    pub path: PathBuf,
    /// What it holds.
    pub contents: Contents,
    /// Permission bits, such as `0o644`; `None` leaves them, and means 0644 for a new file.
    pub mode: Option<u32>,
    /// Name of the owner; `None` leaves it, and means root for a new file.
    pub user: Option<String>,
    /// Name of the group; `None` leaves it, and means root for a new file.
    pub group: Option<String>,
    /// A program that must accept the new file before it replaces the old one; `{}` stands for its path.
    pub validate: Option<Vec<String>>,
}

/// What a file holds, and how much of it may be shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contents {
    /// Text that may be shown in plans and diffs.
    Text(String),
    /// Text in which each `(placeholder, path)` is replaced, at the moment of writing, by the contents of a
    /// file on the host (white space at its ends removed). Never shown.
    WithSecrets {
        /// The text with its placeholders.
        text: String,
        /// Placeholder and the file whose contents take its place.
        secrets: Vec<(String, PathBuf)>,
    },
    /// A copy of another file of the host.
    CopyOf(PathBuf),
    /// Whatever a program writes into it; a file that is made here is empty.
    Kept,
}

/// A directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Directory {
    /// Absolute path; missing parents are made with mode 0755.
    pub path: PathBuf,
    /// Permission bits, such as `0o755`; `None` leaves them, and means 0755 for a new directory.
    pub mode: Option<u32>,
    /// Name of the owner; `None` leaves it, and means root for a new directory.
    pub user: Option<String>,
    /// Name of the group; `None` leaves it, and means root for a new directory.
    pub group: Option<String>,
}

/// A symbolic link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Symlink {
    /// Where the link is.
    pub path: PathBuf,
    /// Where it points.
    pub target: PathBuf,
}

/// A path where nothing is: a file, a link or a whole directory is removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Absent {
    /// Absolute path.
    pub path: PathBuf,
}

impl File {
    /// A text file of root with mode 0644.
    pub fn text(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            contents: Contents::Text(text.into()),
            mode: Some(0o644),
            user: None,
            group: None,
            validate: None,
        }
    }

    /// The same file with other permission bits.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }
}

impl Directory {
    /// A directory of root.
    pub fn new(path: impl Into<PathBuf>, mode: u32) -> Self {
        Self { path: path.into(), mode: Some(mode), user: None, group: None }
    }
}
