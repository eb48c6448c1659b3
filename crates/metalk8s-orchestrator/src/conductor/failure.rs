//! Why a step of a procedure failed.

use metalk8s_diagnostics::{Code, Diagnose, code_of};

/// A failed step: its code, the error, and its causes, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    code: Code,
    lines: Vec<String>,
    passes: bool,
}

impl Failure {
    /// A failure in one line.
    pub(super) fn new(code: Code, line: impl Into<String>) -> Self {
        Self::of_lines(code, vec![line.into()])
    }

    /// One in several lines, of which the first is the most important.
    pub(super) fn of_lines(code: Code, lines: Vec<String>) -> Self {
        Self { code, lines, passes: false }
    }

    /// Whether it may pass by itself: its step is tried again.
    pub(super) fn passes(&self) -> bool {
        self.passes
    }

    /// The same, for which the step has waited long enough itself.
    pub(super) fn lasting(self) -> Self {
        Self { passes: false, ..self }
    }

    /// As it is recorded. The code ends the first line, unless what failed has told its own.
    pub(super) fn into_lines(mut self) -> Vec<String> {
        if let Some(first) = self.lines.first_mut()
            && !first.contains(" (MK")
        {
            *first = self.code.at_end_of(std::mem::take(first));
        }
        self.lines
    }
}

/// An error with its causes.
pub(super) fn told(error: &(impl Diagnose + 'static)) -> Failure {
    let mut lines = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        lines.push(cause.to_string());
        next = cause.source();
    }
    let code = error.code().unwrap_or_else(|| code_of(error));
    Failure { passes: error.passes(), ..Failure::of_lines(code, lines) }
}

#[cfg(test)]
mod tests {
    use metalk8s_diagnostics::explain;

    use super::*;

    #[test]
    fn a_failure_has_one_code_in_its_first_line() {
        let lines = |first: &str| {
            let lines = vec![first.to_owned(), "because".to_owned()];
            Failure::of_lines(explain::NODE_INCOMPLETE, lines).into_lines()
        };
        assert_eq!(lines("it has no role"), ["it has no role (MK1710)", "because"]);
        let told = "the clock is 600 s away (MK1212); set it";
        assert_eq!(lines(told), [told, "because"]);
    }
}
