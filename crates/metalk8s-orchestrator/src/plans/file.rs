//! A plan in a file.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use metalk8s_diagnostics::{Code, Diagnose, Hint, code_of_io, explain};
use metalk8s_engine::Agreed;
use serde::{Deserialize, Serialize};

use super::NodePlan;
use crate::file;

/// The version of files that this program writes. It reads no newer one.
const SCHEMA: u32 = 1;
/// The largest file that is read, in bytes: a thousand nodes with full diffs.
const LARGEST: u64 = 256 << 20;

/// What would change on nodes, as it was agreed upon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanFile {
    /// The form of the file, as its writer knew it.
    pub schema: u32,
    /// The cluster: the UID of the object with its settings.
    pub cluster: String,
    /// When it was made.
    pub made: Timestamp,
    /// The plans, by node.
    pub nodes: BTreeMap<String, NodePlan>,
}

/// Why a plan cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    /// The file.
    #[error("could not use `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What is in it.
    #[error("`{path}` is no plan")]
    NoPlan {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A newer program wrote it.
    #[error("the plan `{path}` has version {found}, and this program reads up to {SCHEMA}")]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It was changed after it was written.
    #[error("the plan `{path}` was changed: the digest of `{node}` is not that of its changes")]
    Changed {
        /// Which.
        path: PathBuf,
        /// The node.
        node: String,
    },
}

impl Diagnose for PlanFileError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::File { source, .. } => Some(code_of_io(source)),
            Self::NoPlan { .. } | Self::Newer { .. } | Self::Changed { .. } => Some(explain::PLAN_UNREADABLE),
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::File { .. } => Vec::new(),
            Self::NoPlan { path, .. } | Self::Newer { path, .. } | Self::Changed { path, .. } => {
                vec![Hint(format!("make a new one: `metalk8s plan -o {}`", path.display()))]
            }
        }
    }
}

impl PlanFile {
    /// A plan of this moment.
    pub fn new(cluster: String, nodes: BTreeMap<String, NodePlan>) -> Self {
        Self { schema: SCHEMA, cluster, made: Timestamp::now(), nodes }
    }

    /// Writes it, readable by its owner only: it tells how machines are set up.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), PlanFileError> {
        let mut text = serde_json::to_vec_pretty(self).expect("a plan has only string keys");
        text.push(b'\n');
        file::write(path, &text, 0o600)
            .map_err(|source| PlanFileError::File { path: path.to_owned(), source })
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it cannot be read, is none, or was changed.
    pub fn read(path: &Path) -> Result<Self, PlanFileError> {
        #[derive(Deserialize)]
        struct Head {
            schema: u32,
        }
        let at = || path.to_owned();
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(LARGEST).read_to_end(&mut bytes))
            .map_err(|source| PlanFileError::File { path: at(), source })?;
        let no_plan = |source| PlanFileError::NoPlan { path: at(), source };
        // Looked at before the rest, because a newer file may have other fields.
        let Head { schema: found } = serde_json::from_slice(&bytes).map_err(no_plan)?;
        if found > SCHEMA {
            return Err(PlanFileError::Newer { path: at(), found });
        }
        let plan: Self = serde_json::from_slice(&bytes).map_err(no_plan)?;
        let changed = plan
            .nodes
            .iter()
            .find(|(_, node)| Agreed::digest_of(&node.changes.agreed()) != node.changes.digest);
        match changed {
            Some((node, _)) => Err(PlanFileError::Changed { path: at(), node: node.clone() }),
            None => Ok(plan),
        }
    }

    /// Nodes on which something would be changed.
    pub fn pending(&self) -> impl Iterator<Item = (&String, &NodePlan)> {
        self.nodes.iter().filter(|(_, plan)| !plan.changes.changes.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt};

    use super::*;
    use crate::plans::tests::changes;

    fn plan() -> PlanFile {
        let nodes = [("a", &["x", "y"][..]), ("b", &[])];
        let nodes = nodes.map(|(name, states)| (name.to_owned(), NodePlan::now(changes(states))));
        PlanFile::new("1-2-3".into(), nodes.into())
    }

    #[test]
    fn a_plan_is_read_as_it_was_written_and_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        plan().write(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let read = PlanFile::read(&path).unwrap();
        assert_eq!(read.nodes, plan_nodes(&read));
        assert_eq!(read.pending().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a"]);
    }

    /// The same nodes, whenever they were looked at.
    fn plan_nodes(read: &PlanFile) -> BTreeMap<String, NodePlan> {
        let mut nodes = plan().nodes;
        for (name, node) in &mut nodes {
            node.at = read.nodes[name].at;
        }
        nodes
    }

    #[test]
    fn what_is_no_plan_or_was_changed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            PlanFile::read(&path).unwrap_err()
        };
        assert!(matches!(read("{"), PlanFileError::NoPlan { .. }));
        assert!(matches!(read("{\"schema\": 2, \"other\": 1}"), PlanFileError::Newer { found: 2, .. }));
        assert!(matches!(read("{\"schema\": 1}"), PlanFileError::NoPlan { .. }));
        let mut changed = plan();
        changed.nodes.get_mut("a").unwrap().changes.changes.remove(0);
        let text = serde_json::to_string(&changed).unwrap();
        assert!(matches!(read(&text), PlanFileError::Changed { node, .. } if node == "a"));
        let missing = PlanFile::read(&folder.path().join("other")).unwrap_err();
        assert!(matches!(missing, PlanFileError::File { .. }));
    }
}
