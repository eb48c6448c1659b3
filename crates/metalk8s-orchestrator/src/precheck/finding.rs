//! What a check has to say.

use metalk8s_diagnostics::{Code, Problem, Problems, explain::explain};
use serde::Serialize;

/// One thing that speaks against the bootstrap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its stable code, which `metalk8s explain` knows.
    pub code: Code,
    /// Whether the bootstrap may go on.
    pub severity: Severity,
    /// What is wrong with this machine, in one line without a full stop.
    pub message: String,
    /// What one can do.
    pub hint: String,
}

/// Whether the bootstrap may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It would fail, or break something.
    Error,
    /// It works, but not well.
    Warning,
}

impl Finding {
    /// Something that stops the bootstrap; the hint is what the code's explanation advises.
    pub(crate) fn error(code: Code, message: impl Into<String>) -> Self {
        let advice = explain(code.as_str()).map_or("", |explanation| explanation.todo);
        Self { code, severity: Severity::Error, message: message.into(), hint: advice.to_owned() }
    }

    /// Something to know.
    pub(super) fn warning(code: Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// The same with better advice.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// `Ok` where no finding is an error.
///
/// # Errors
/// All errors at once, with their hints; warnings are not among them.
pub fn refuse(findings: &[Finding]) -> Result<(), Problems> {
    let errors = || findings.iter().filter(|finding| finding.severity == Severity::Error);
    let problems = errors().map(|finding| Problem::new(finding.code, finding.message.clone())).collect();
    let mut result = Problems::check("this machine cannot be bootstrapped as it is", problems);
    if let Err(problems) = result {
        let mut hints: Vec<&str> = Vec::new();
        for finding in errors() {
            if !hints.contains(&finding.hint.as_str()) {
                hints.push(&finding.hint);
            }
        }
        result = Err(hints.into_iter().fold(problems, |problems, hint| problems.hint(hint)));
    }
    result
}

#[cfg(test)]
mod tests {
    use metalk8s_diagnostics::explain;

    use super::*;

    #[test]
    fn warnings_alone_refuse_nothing() {
        assert_eq!(refuse(&[]), Ok(()));
        assert_eq!(refuse(&[Finding::warning(explain::TOO_FEW_CPUS, "2 processors")]), Ok(()));
    }

    #[test]
    fn all_errors_are_told_at_once_and_a_hint_only_once() {
        let findings = [
            Finding::error(explain::PORT_IN_USE, "port 1"),
            Finding::warning(explain::TOO_FEW_CPUS, "2 processors"),
            Finding::error(explain::PORT_IN_USE, "port 2"),
            Finding::error(explain::BAD_HOSTNAME, "name").hint("call it a"),
        ];
        let problems = refuse(&findings).unwrap_err();
        assert_eq!(problems.problems.len(), 3);
        assert_eq!(problems.hints.len(), 2);
        assert_eq!(problems.hints[1].0, "call it a");
    }

    #[test]
    fn every_finding_comes_with_advice() {
        assert!(Finding::error(explain::PORT_IN_USE, "port 1").hint.contains("ss -ltnp"));
    }
}
