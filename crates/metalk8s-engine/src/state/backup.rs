//! Backups of a node.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A backup that has the configuration and the authorities which the node has now (BAK-02, BAK-03).
///
/// One that is true already is not made again, although etcd holds something else by then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// Absolute path of the folder that backups lie in; only the newest of them is looked at.
    pub folder: PathBuf,
    /// The version of the product, which stands inside.
    pub version: String,
}
