//! Waiting for the world, always with a deadline and always for something that can be named.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A condition that must hold before anything that requires it goes on. Checking it never changes anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    /// What is waited for.
    pub until: Condition,
    /// How long, in seconds, before it is an error.
    pub deadline_seconds: u64,
}

/// What can be waited for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// An HTTP(S) address answers 200.
    Http {
        /// The address.
        url: String,
        /// The authority that must have signed the server's certificate.
        ca: Option<PathBuf>,
        /// Certificate and key of the client.
        client: Option<(PathBuf, PathBuf)>,
    },
    /// A Unix socket accepts connections.
    Socket(PathBuf),
    /// A Node exists.
    NodeExists(String),
    /// A Node is Ready.
    NodeReady(String),
    /// All replicas of a workload's newest generation are updated and available.
    RolledOut {
        /// `Deployment`, `DaemonSet` or `StatefulSet`.
        kind: String,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A pod is Ready.
    PodReady {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A CustomResourceDefinition is Established.
    CrdEstablished(String),
    /// A Secret exists. What it holds is not looked at.
    SecretExists {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}
