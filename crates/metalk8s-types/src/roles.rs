//! What a node is for (area ROLE).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::labels::ROLE_PREFIX;

/// One of the five roles, freely combinable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The one node with repositories, configuration master and authorities.
    Bootstrap,
    /// A member of etcd.
    Etcd,
    /// Takes the services of the product that are not critical.
    Infra,
    /// A member of the control plane.
    Master,
    /// A simple worker.
    Node,
}

impl Role {
    /// All roles, by name.
    pub const ALL: [Self; 5] = [Self::Bootstrap, Self::Etcd, Self::Infra, Self::Master, Self::Node];

    /// The name, as in labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Etcd => "etcd",
            Self::Infra => "infra",
            Self::Master => "master",
            Self::Node => "node",
        }
    }

    /// The key of its label and taint.
    pub fn key(self) -> String {
        format!("{ROLE_PREFIX}{}", self.name())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no role.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no role; roles are bootstrap, etcd, infra, master, node")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.name() == word).ok_or_else(|| UnknownRole(word.to_owned()))
    }
}
