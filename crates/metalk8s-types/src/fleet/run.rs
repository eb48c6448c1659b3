//! A procedure over nodes.

use jiff::Timestamp;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "fleet.metalk8s.scality.com",
    version = "v1alpha1",
    kind = "Run",
    plural = "runs",
    namespaced,
    status = "RunStatus",
    derive = "PartialEq",
    doc = "A procedure over nodes, with the record of its steps.",
    printcolumn = r#"{"name": "Procedure", "type": "string", "jsonPath": ".spec.procedure.name"}"#,
    printcolumn = r#"{"name": "Node", "type": "string", "jsonPath": ".spec.procedure.node"}"#,
    printcolumn = r#"{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.message"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    crates(kube_core = "::kube_core", k8s_openapi = "::k8s_openapi", schemars = "::schemars")
)]
#[serde(rename_all = "camelCase")]
pub struct RunSpec {
    /// The procedure with what it is about.
    pub procedure: Procedure,
    /// The version whose formulas are applied.
    pub version: String,
    /// Somebody wants it to end after the step that is being done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
}

/// A procedure with what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Procedure {
    /// Which one.
    pub name: ProcedureName,
    /// The node that it is about.
    pub node: String,
    /// Pods are left where they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_draining: bool,
    /// How many seconds pods may take to leave a node; without it, [`DRAIN_SECONDS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_seconds: Option<u32>,
    /// The machine is given up: what only it could do is left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// It is only told what each step would do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trial: bool,
}

/// How many seconds pods may take to leave a node, unless somebody says otherwise.
pub const DRAIN_SECONDS: u32 = 300;

impl Procedure {
    /// A procedure over this node, with nothing special about it.
    pub fn new(name: ProcedureName, node: impl Into<String>) -> Self {
        Self {
            name,
            node: node.into(),
            skip_draining: false,
            drain_seconds: None,
            force: false,
            trial: false,
        }
    }
}

/// The procedures that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProcedureName {
    /// A machine becomes what its Node object says (EXP-17).
    DeployNode,
    /// A node leaves the cluster, and its machine is as it was before.
    RemoveNode,
}

/// How far it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunStatus {
    /// In one word.
    #[serde(default)]
    pub phase: RunPhase,
    /// What stopped it, or what it is at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The steps that were begun, in their order; each is recorded as finished before the next one begins.
    #[serde(default)]
    pub steps: Vec<RunStep>,
    /// When the first step was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub finished: Option<Timestamp>,
}

/// How far a run is, in one word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RunPhase {
    /// No conductor has taken it yet.
    #[default]
    Pending,
    /// A conductor is at it.
    Running,
    /// All steps are done.
    Succeeded,
    /// A step failed. What was done is kept.
    Failed,
    /// Somebody ended it between two steps.
    Cancelled,
}

/// One stage of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunStep {
    /// Its name in records, such as `install-agent`.
    pub name: String,
    /// What it does, for people.
    pub title: String,
    /// How it went.
    pub state: StepState,
    /// When it was begun.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub finished: Option<Timestamp>,
    /// What was found or done, in a line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// What was changed, a line each. Bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// Where it failed: the error and its causes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub error: Vec<String>,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StepState {
    /// It is being done.
    Running,
    /// It is done.
    Done,
    /// It failed.
    Failed,
}

impl RunPhase {
    /// Whether nothing more will come.
    pub fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Cancelled => true,
        }
    }
}
