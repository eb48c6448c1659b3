//! One node, as the bus sees it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Role,
    pillar::{NodeAddresses, NodeWish},
};

/// What a node shall be, and the jobs that it is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "fleet.metalk8s.scality.com",
    version = "v1alpha1",
    kind = "Agent",
    plural = "agents",
    namespaced,
    status = "AgentStatus",
    derive = "PartialEq",
    doc = "What one node shall be, the jobs it is given, and what became of them.",
    printcolumn = r#"{"name": "Wanted", "type": "string", "jsonPath": ".spec.version"}"#,
    printcolumn = r#"{"name": "Version", "type": "string", "jsonPath": ".status.version"}"#,
    printcolumn = r#"{"name": "Started", "type": "date", "jsonPath": ".status.started"}"#,
    crates(kube_core = "::kube_core", k8s_openapi = "::k8s_openapi", schemars = "::schemars")
)]
#[serde(rename_all = "camelCase")]
pub struct AgentSpec {
    /// The version that the node shall have; the label of its Node says it.
    pub version: String,
    /// The roles that it shall have; the labels of its Node say them.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub roles: BTreeSet<Role>,
    /// Its addresses, as they were seen when its agent was accepted.
    #[schemars(with = "BTreeMap<String, String>")]
    pub addresses: NodeAddresses,
    /// `--initial-cluster` of its etcd: what it was when the member was registered, and stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_cluster: Option<String>,
    /// Jobs by their id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub jobs: BTreeMap<String, Job>,
    /// Signed certificates, in PEM, by the name of the CertificateSigningRequest that asked for them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub certificates: BTreeMap<String, String>,
}

/// One call of a function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Such as `state.apply`.
    pub function: String,
    /// The words after it, as they are typed on a command line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// It must not be run a second time where nobody knows how far the first came.
    #[serde(default)]
    pub once: bool,
    /// It is not begun any more after this moment.
    #[schemars(with = "String")]
    pub expires: Timestamp,
    /// It is ended after so many seconds.
    pub timeout_seconds: u32,
    /// Whoever wants it to end: a job that is running is ended, one that has not begun does not begin.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
}

/// What the agent tells of itself and of its jobs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentStatus {
    /// The version of the program that is the agent.
    #[serde(default)]
    pub version: String,
    /// When it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub started: Option<Timestamp>,
    /// Facts of the node under Salt's names.
    #[serde(default)]
    #[schemars(schema_with = "super::anything")]
    pub grains: Value,
    /// What became of jobs, by their id. Bounded in number, size and age: the agent lets go of the oldest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub jobs: BTreeMap<String, JobStatus>,
}

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobStatus {
    /// How far it is.
    pub state: JobState,
    /// The function, which the agent remembers when the job itself is gone.
    pub function: String,
    /// When it was begun.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub finished: Option<Timestamp>,
    /// Salt's `retcode`: 0, or what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retcode: Option<u8>,
    /// What the function returned, as JSON text. A text keeps the API server from reading it each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// Salt's name of the form in which people read the result, where it is not the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputter: Option<String>,
    /// Why there is no result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum JobState {
    /// It is being carried out.
    Running,
    /// It has ended by itself, well or not: `retcode` tells.
    Done,
    /// It was ended before its end, and is not run again.
    Interrupted,
    /// It was not begun: too late, or cancelled.
    Refused,
}

impl AgentSpec {
    /// What the node shall be, without its jobs.
    pub fn wish(&self) -> NodeWish {
        NodeWish {
            version: self.version.clone(),
            roles: self.roles.clone(),
            addresses: self.addresses,
            initial_cluster: self.initial_cluster.clone(),
        }
    }
}

impl JobState {
    /// Whether nothing more will come.
    pub fn is_final(self) -> bool {
        match self {
            Self::Running => false,
            Self::Done | Self::Interrupted | Self::Refused => true,
        }
    }
}
