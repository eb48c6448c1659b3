//! What functions of the master return about minions and modules.

use serde_json::{Map, Value, json};

use super::Minions;

/// Salt's kinds of modules of a master. They are all part of the program.
const KINDS: [&str; 24] = [
    "clouds",
    "modules",
    "states",
    "grains",
    "renderers",
    "returners",
    "output",
    "proxymodules",
    "runners",
    "wheel",
    "engines",
    "thorium",
    "queues",
    "pillar",
    "utils",
    "sdb",
    "cache",
    "fileserver",
    "tops",
    "tokens",
    "serializers",
    "executors",
    "wrapper",
    "roster",
];

impl Minions {
    /// Whether minions are asked; else it is enough to know who is connected.
    pub fn are_asked(self) -> bool {
        match self {
            Self::Status | Self::Up | Self::Down => true,
            Self::Present | Self::NotPresent => false,
        }
    }

    /// What is returned, where these are there and those are not.
    pub fn told(self, mut there: Vec<String>, mut away: Vec<String>) -> Value {
        there.sort();
        away.sort();
        match self {
            Self::Status => json!({"up": there, "down": away}),
            Self::Up | Self::Present => there.into(),
            Self::Down | Self::NotPresent => away.into(),
        }
    }
}

/// What syncing the modules of the master returns: nothing of each kind.
pub fn synced() -> Value {
    KINDS.iter().map(|kind| ((*kind).to_owned(), json!([]))).collect::<Map<_, _>>().into()
}
