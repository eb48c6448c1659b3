//! What was found, entry by entry, and how many commands of the manual run.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    book::Book,
    entry::{Form, Need, Procedure},
    judge::Verdict,
};

/// What became of one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    /// All that must be seen was seen.
    Passed,
    /// Something was not.
    Failed {
        /// What.
        problems: Vec<String>,
    },
    /// It was not run: something that it needs is not there.
    Waiting {
        /// What it needs.
        needs: Vec<Need>,
    },
    /// Another suite runs it, or others show it.
    Elsewhere {
        /// Which, with commas between.
        suite: String,
    },
    /// A part of the product is missing.
    NotYet {
        /// Which.
        issue: String,
    },
    /// It can never be run here.
    Cannot {
        /// Why.
        why: String,
    },
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Passed => Self::Passed,
            Verdict::Failed { problems } => Self::Failed { problems },
        }
    }
}

/// What became of all entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Entry {
    id: String,
    section: char,
    #[serde(skip)]
    title: String,
    metric: bool,
    form: Option<Form>,
    #[serde(flatten)]
    outcome: Outcome,
}

/// How many documented commands there are, and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All.
    pub of: usize,
    /// Run exactly as printed.
    pub as_printed: usize,
    /// Run in the form that today's programs accept.
    pub adapted: usize,
    /// Failed.
    pub failed: usize,
    /// Not run now, or by another suite.
    pub not_run: usize,
    /// A part of the product is missing.
    pub not_yet: usize,
    /// Can never be run here.
    pub cannot: usize,
}

impl Report {
    /// A report in which nothing has been run yet by `suite`.
    pub fn new(book: &Book, suite: &str) -> Self {
        let mut entries = Vec::new();
        for section in &book.sections {
            entries.extend(section.procedures.iter().map(|procedure| Entry {
                id: procedure.id.clone(),
                section: section.letter,
                title: section.title.clone(),
                metric: procedure.metric,
                form: procedure.run.as_ref().map(|run| run.form),
                outcome: before(procedure, suite),
            }));
        }
        Self { entries }
    }

    /// What became of an entry.
    pub fn outcome(&self, id: &str) -> Option<&Outcome> {
        self.entries.iter().find(|entry| entry.id == id).map(|entry| &entry.outcome)
    }

    /// Writes down what became of an entry.
    pub fn set(&mut self, id: &str, outcome: Outcome) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) {
            entry.outcome = outcome;
        }
    }

    /// Whether an entry failed, whether it is counted or not.
    pub fn has_failures(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry.outcome, Outcome::Failed { .. }))
    }

    /// The documented commands of the whole manual.
    pub fn counts(&self) -> Counts {
        count(&self.entries)
    }

    /// The last line: `N as printed, A adapted, of M`.
    pub fn summary(&self) -> String {
        let Counts { as_printed, adapted, of, .. } = self.counts();
        format!("{as_printed} as printed, {adapted} adapted, of {of}")
    }

    /// A line for each section.
    pub fn table(&self) -> String {
        let width = self.sections().map(|section| section[0].title.chars().count() + 3).max().unwrap_or(0);
        let mut table =
            format!("{:width$}  commands  printed  adapted  failed  not run  not yet  cannot\n", "section");
        for section in self.sections() {
            let Counts { of, as_printed, adapted, failed, not_run, not_yet, cannot } = count(section);
            let title = format!("{}. {}", section[0].section, section[0].title);
            // Writing to a text cannot fail.
            let _ = writeln!(
                table,
                "{title:width$}  {of:>8}  {as_printed:>7}  {adapted:>7}  {failed:>6}  {not_run:>7}  {not_yet:>7}  {cannot:>6}"
            );
        }
        table
    }

    /// Everything, for programs.
    pub fn json(&self) -> Value {
        let sections: Vec<_> = self
            .sections()
            .map(|section| {
                let first = &section[0];
                json!({"section": first.section, "title": first.title, "counts": count(section)})
            })
            .collect();
        json!({"counts": self.counts(), "sections": sections, "procedures": self.entries})
    }

    fn sections(&self) -> impl Iterator<Item = &[Entry]> {
        self.entries.chunk_by(|one, next| one.section == next.section)
    }
}

fn before(procedure: &Procedure, suite: &str) -> Outcome {
    if let Some(shown) = &procedure.shown {
        return Outcome::Elsewhere { suite: shown.suites.join(", ") };
    }
    match (&procedure.run, &procedure.not_yet, &procedure.cannot) {
        (Some(run), ..) if run.suite == suite => Outcome::Waiting { needs: run.needs.clone() },
        (Some(run), ..) => Outcome::Elsewhere { suite: run.suite.clone() },
        (None, Some(not_yet), _) => Outcome::NotYet { issue: not_yet.issue.clone() },
        (None, None, Some(cannot)) => Outcome::Cannot { why: cannot.why.clone() },
        (None, None, None) => Outcome::NotYet { issue: "nobody has looked at it".to_owned() },
    }
}

fn count(entries: &[Entry]) -> Counts {
    let mut counts = Counts::default();
    for entry in entries.iter().filter(|entry| entry.metric) {
        counts.of += 1;
        let place = match (&entry.outcome, entry.form) {
            (Outcome::Passed, Some(Form::Adapted)) => &mut counts.adapted,
            (Outcome::Passed, _) => &mut counts.as_printed,
            (Outcome::Failed { .. }, _) => &mut counts.failed,
            (Outcome::Waiting { .. } | Outcome::Elsewhere { .. }, _) => &mut counts.not_run,
            (Outcome::NotYet { .. }, _) => &mut counts.not_yet,
            (Outcome::Cannot { .. }, _) => &mut counts.cannot,
        };
        *place += 1;
    }
    counts
}
