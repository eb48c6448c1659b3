//! What a procedure would do, step by step.

use metalk8s_diagnostics::Paint;
use metalk8s_types::fleet::{self, RunPhase, StepState};
use serde::Serialize;

/// A procedure that was only looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// The node that it is about.
    pub node: String,
    /// Its steps, as far as they could be foreseen.
    pub steps: Vec<TrialStep>,
    /// Why it cannot be done, a line each.
    pub failure: Vec<String>,
}

/// What one step would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrialStep {
    /// Its name in records.
    pub step: String,
    /// What it is there for.
    pub title: String,
    /// What was found, in a line.
    pub comment: String,
    /// What would change, a line each.
    pub changes: Vec<String>,
}

impl Trial {
    /// A trial over this node that is over.
    pub fn new(node: String, status: &fleet::RunStatus) -> Self {
        let of_step = |step: &fleet::RunStep| TrialStep {
            step: step.name.clone(),
            title: step.title.clone(),
            comment: step.comment.clone(),
            changes: step.changes.clone(),
        };
        let failed = status.steps.iter().find(|step| step.state == StepState::Failed);
        let failure = match (failed, status.phase) {
            (Some(step), _) => step.error.clone(),
            (None, RunPhase::Succeeded) => Vec::new(),
            (None, _) => vec![status.message.clone().unwrap_or_else(|| "it was not finished".to_owned())],
        };
        Self { node, steps: status.steps.iter().map(of_step).collect(), failure }
    }

    /// How much would change.
    pub fn changes(&self) -> usize {
        self.steps.iter().map(|step| step.changes.len()).sum()
    }

    /// For people: the steps with what they would change.
    pub fn text(&self, paint: Paint) -> String {
        let head = match (self.failure.is_empty(), self.changes()) {
            (false, _) => paint.red("cannot be done"),
            (true, 0) => paint.green("nothing would change"),
            (true, 1) => paint.yellow("1 thing would change"),
            (true, count) => paint.yellow(&format!("{count} things would change")),
        };
        let mut text = format!("{}: {head}\n", paint.bold(&self.node));
        for step in &self.steps {
            text.push_str(&format!("  {}: {}\n", step.title, step.comment));
            for change in &step.changes {
                text.push_str(&format!("    {}\n", paint.yellow(&format!("~ {change}"))));
            }
        }
        for line in self.failure.iter().skip(1) {
            text.push_str(&format!("    {line}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, state: StepState, changes: &[&str]) -> fleet::RunStep {
        fleet::RunStep {
            name: name.into(),
            title: format!("Doing {name}"),
            state,
            started: jiff::Timestamp::UNIX_EPOCH,
            finished: None,
            comment: format!("{name} said"),
            changes: changes.iter().map(|change| (*change).to_owned()).collect(),
            error: if state == StepState::Failed { vec!["one".into(), "two".into()] } else { Vec::new() },
        }
    }

    fn trial(phase: RunPhase, steps: Vec<fleet::RunStep>) -> Trial {
        Trial::new("n".into(), &fleet::RunStatus { phase, steps, ..fleet::RunStatus::default() })
    }

    #[test]
    fn steps_are_shown_with_what_they_would_change() {
        let done = trial(
            RunPhase::Succeeded,
            vec![step("a", StepState::Done, &["x", "y"]), step("b", StepState::Done, &[])],
        );
        assert_eq!(
            done.text(Paint::default()),
            "n: 2 things would change\n  Doing a: a said\n    ~ x\n    ~ y\n  Doing b: b said\n"
        );
    }

    #[test]
    fn what_speaks_against_it_is_told_whole() {
        let failed = trial(RunPhase::Failed, vec![step("a", StepState::Failed, &[])]);
        assert_eq!(failed.failure, ["one", "two"]);
        assert_eq!(failed.text(Paint::default()), "n: cannot be done\n  Doing a: a said\n    two\n");
        assert_eq!(trial(RunPhase::Cancelled, Vec::new()).failure, ["it was not finished"]);
    }
}
