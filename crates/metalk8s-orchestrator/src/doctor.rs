//! The doctor: looks at everything that it can reach, and changes nothing.
//!
//! Begin with [`examine`]. Facts are gathered by `gather`, each kind by itself and within a time of its own; what
//! they mean is decided by `judge`, which is pure. What could not be looked at is a finding like any other.

mod dns;
mod facts;
mod gather;
mod images;
mod judge;
mod machine;
mod text;

use metalk8s_diagnostics::{Code, explain::explain};
use serde::Serialize;

use crate::precheck::Severity;

pub use gather::examine;
pub use machine::{Folder, MachineHealth, UnitHealth};
pub use text::text;

/// What is looked at, in the order in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each area is what its name says")]
pub enum Area {
    ApiServers,
    Etcd,
    Leases,
    Nodes,
    Agents,
    Clocks,
    Addresses,
    Disks,
    Certificates,
    Images,
    Dns,
    Pods,
    Runs,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its stable code, which `metalk8s explain` knows.
    pub code: Code,
    /// Whether something must be done.
    pub severity: Severity,
    /// The node, pod, member ... that it is about.
    pub subject: String,
    /// What is wrong with it, in one line without a full stop.
    pub message: String,
    /// What one can do.
    pub todo: &'static str,
}

/// What was found in one area.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The area.
    pub area: Area,
    /// What was looked at, in a few words.
    pub looked_at: String,
    /// What is not as it should be.
    pub findings: Vec<Finding>,
}

/// What the doctor says: a verdict for each area.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// One for each area.
    pub verdicts: Vec<Verdict>,
}

impl Area {
    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::ApiServers => "API servers",
            Self::Etcd => "etcd",
            Self::Leases => "Leases",
            Self::Nodes => "Nodes",
            Self::Agents => "Agents",
            Self::Clocks => "Clocks",
            Self::Addresses => "Addresses",
            Self::Disks => "Disks",
            Self::Certificates => "Certificates",
            Self::Images => "Images",
            Self::Dns => "DNS",
            Self::Pods => "Pods",
            Self::Runs => "Runs",
        }
    }
}

impl Finding {
    /// Something must be done.
    fn error(code: Code, subject: impl Into<String>, message: impl Into<String>) -> Self {
        let todo = explain(code.as_str()).map_or("", |explanation| explanation.todo);
        Self { code, severity: Severity::Error, subject: subject.into(), message: message.into(), todo }
    }

    /// Something to look at.
    fn warning(code: Code, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, subject, message) }
    }
}

impl Report {
    /// The worst that was found; `None` where all is well.
    pub fn worst(&self) -> Option<Severity> {
        let mut severities =
            self.verdicts.iter().flat_map(|verdict| &verdict.findings).map(|finding| finding.severity);
        let first = severities.next()?;
        Some(severities.fold(first, |worst, other| match (worst, other) {
            (Severity::Warning, Severity::Warning) => Severity::Warning,
            _ => Severity::Error,
        }))
    }
}
