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
    printcolumn = r#"{"name": "Drifted", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Drifted')].status"}"#,
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
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub jobs: BTreeMap<String, Job>,
    /// Signed certificates, in PEM, by the name of the CertificateSigningRequest that asked for them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
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
    #[schemars(schema_with = "facts")]
    pub grains: Value,
    /// How the node differs from what it shall be, as it looked when that was different last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// What is true of the node, such as `Drifted`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What became of jobs, by their id, each as JSON text. Bounded in number, size and age: the agent lets go of
    /// the oldest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "told")]
    #[schemars(with = "BTreeMap<String, String>", extend("x-kubernetes-map-type" = "atomic"))]
    pub jobs: BTreeMap<String, JobStatus>,
}

/// Anything; who wrote which part of it is of no use, and would be written down for each of them.
fn facts(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "nullable": true,
        "x-kubernetes-preserve-unknown-fields": true,
        "x-kubernetes-map-type": "atomic",
    })
}

/// Jobs as texts: with 1,000 agents the API server takes twice as long when it looks at each part of each job.
mod told {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::JobStatus;

    pub(super) fn serialize<S: Serializer>(
        jobs: &BTreeMap<String, JobStatus>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(jobs.iter().map(|(name, status)| (name, status.told())))
    }

    /// Nobody has looked at a text before: one that is none of a job counts as not told.
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, JobStatus>, D::Error> {
        let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
        let read = |(name, text): (String, String)| Some((name, serde_json::from_str(&text).ok()?));
        Ok(texts.into_iter().filter_map(read).collect())
    }
}

/// The condition that a node is not what it shall be.
pub const DRIFTED: &str = "Drifted";
/// How many states a [`Drift`] names.
pub const DRIFT_NAMES: usize = 20;

/// How a node differs from what it shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// How many states would be changed.
    pub changes: u32,
    /// The names of the first 20 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<String>,
    /// How many states could not be looked at.
    #[serde(default)]
    pub unchecked: u32,
    /// Why nothing could be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Since when it is like this.
    #[schemars(with = "String")]
    pub since: Timestamp,
}

/// Something that is true of a node, or not, in the form that Kubernetes gives conditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What, such as `Drifted`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in one word.
    pub reason: String,
    /// A sentence with what to do.
    pub message: String,
    /// When the status became what it is.
    #[schemars(with = "String")]
    pub last_transition_time: Timestamp,
}

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobStatus {
    /// How far it is.
    pub state: JobState,
    /// The function, which the agent remembers when the job itself is gone.
    pub function: String,
    /// When it was begun.
    pub started: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

impl Drift {
    /// Whether the other tells the same, whenever that began.
    pub fn is_same(&self, other: &Self) -> bool {
        let Self { changes, states, unchecked, error, since: _ } = self;
        (changes, states, unchecked, error) == (&other.changes, &other.states, &other.unchecked, &other.error)
    }

    /// Whether the node differs; `None` where nobody can say.
    pub fn is_drifted(&self) -> Option<bool> {
        match (self.changes, self.unchecked, &self.error) {
            (1.., _, _) => Some(true),
            (0, 0, None) => Some(false),
            (0, _, _) => None,
        }
    }

    /// The same as a condition. `before` is what was told of it last: the moment stays while the status does.
    pub fn condition(&self, before: Option<&Condition>) -> Condition {
        let (status, reason, message) = match self.is_drifted() {
            Some(true) => (
                "True",
                "StatesDiffer",
                format!("{} states are not what they shall be; `metalk8s plan` shows them", self.changes),
            ),
            Some(false) => ("False", "AsWished", "the node is what it shall be".to_owned()),
            None => (
                "Unknown",
                "NotChecked",
                match &self.error {
                    Some(error) => error.clone(),
                    None => {
                        format!("{} states could not be looked at; `metalk8s plan` says why", self.unchecked)
                    }
                },
            ),
        };
        let same = before.filter(|before| before.status == status);
        Condition {
            kind: DRIFTED.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message,
            last_transition_time: same.map_or(self.since, |before| before.last_transition_time),
        }
    }
}

impl JobStatus {
    /// As it stands in an Agent's status.
    pub fn told(&self) -> String {
        serde_json::to_string(self).expect("it is made of what JSON has")
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn drift(changes: u32, unchecked: u32, error: Option<&str>, since: &str) -> Drift {
        let states = (0..changes).map(|number| format!("state {number}")).collect();
        Drift { changes, states, unchecked, error: error.map(str::to_owned), since: since.parse().unwrap() }
    }

    #[test]
    fn a_condition_keeps_its_moment_while_its_status_is_the_same() {
        let first = drift(1, 0, None, "2026-01-01T00:00:00Z").condition(None);
        assert_eq!((&*first.status, &*first.reason), ("True", "StatesDiffer"));
        let more = drift(2, 0, None, "2026-01-02T00:00:00Z").condition(Some(&first));
        assert_eq!(more.last_transition_time, first.last_transition_time);
        assert!(more.message.starts_with("2 states"), "{}", more.message);
        let none = drift(0, 0, None, "2026-01-03T00:00:00Z").condition(Some(&more));
        assert_eq!(none.status, "False");
        assert_eq!(none.last_transition_time, "2026-01-03T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn what_nobody_can_say_is_unknown_and_a_difference_that_was_seen_counts() {
        let of = |changes, unchecked, error| drift(changes, unchecked, error, "2026-01-01T00:00:00Z");
        assert_eq!(of(0, 1, None).is_drifted(), None);
        assert_eq!(of(0, 0, Some("no settings")).is_drifted(), None);
        assert_eq!(of(0, 0, Some("no settings")).condition(None).message, "no settings");
        assert_eq!(of(1, 1, None).is_drifted(), Some(true));
        assert_eq!(of(0, 0, None).is_drifted(), Some(false));
    }

    #[test]
    fn the_moment_is_not_part_of_what_is_told() {
        let one = drift(1, 0, None, "2026-01-01T00:00:00Z");
        assert!(one.is_same(&drift(1, 0, None, "2026-02-01T00:00:00Z")));
        assert!(!one.is_same(&drift(2, 0, None, "2026-01-01T00:00:00Z")));
    }

    #[test]
    fn jobs_are_told_as_texts_and_one_that_is_none_hides_no_other() {
        let job = json!({"state": "Done", "function": "test.ping", "started": "2026-01-01T00:00:00Z"});
        let texts = json!({"1": job.to_string(), "2": "{", "3": job["state"]});
        let status: AgentStatus = serde_json::from_value(json!({"jobs": texts})).unwrap();
        assert_eq!(status.jobs.keys().collect::<Vec<_>>(), ["1"]);
        let told = serde_json::to_value(&status).unwrap();
        assert_eq!(told["jobs"], json!({"1": status.jobs["1"].told()}));
    }
}
