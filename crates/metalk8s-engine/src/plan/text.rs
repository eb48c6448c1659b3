//! A plan as a person reads it.

use std::fmt::Write;

use similar::TextDiff;

use super::{Plan, PlanStep, Planned};
use crate::{Change, ChangeKind, ChangeSet, PendingKind, StateId};

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

impl Plan {
    /// The plan for a person: what would change with unified diffs, then the counts. States that are true
    /// already are only counted.
    pub fn text(&self, colours: bool) -> String {
        let mut page = Page { text: String::new(), colours };
        for step in &self.steps {
            page.step(step);
        }
        let count = |is: fn(&Planned) -> bool| self.steps.iter().filter(|step| is(&step.planned)).count();
        let changes = count(Planned::is_change);
        let unknown = count(|planned| matches!(planned, Planned::Unknown { .. }));
        let failed = count(Planned::is_failed);
        if !page.text.is_empty() {
            page.text.push('\n');
        }
        let mut summary = format!("{} states: {changes} to change", self.steps.len());
        for (number, what) in [(unknown, "cannot be known yet"), (failed, "cannot be checked")] {
            if number > 0 {
                write!(summary, ", {number} {what}").expect("writing to a string cannot fail");
            }
        }
        page.line("", &summary);
        page.text
    }
}

impl ChangeSet {
    /// The same for a person: what would change with its diffs, and what could not be looked at. Empty where there
    /// is neither.
    pub fn text(&self, colours: bool) -> String {
        let mut page = Page { text: String::new(), colours };
        for change in &self.changes {
            page.change(change.kind, change.id.as_str(), &change.summary);
            if let Some(diff) = &change.diff {
                page.diff(&diff.text);
                if diff.cut_lines > 0 {
                    page.line("", &format!("    ... {} more lines are not shown", diff.cut_lines));
                }
            }
        }
        for unchecked in &self.unchecked {
            page.failure(unchecked.id.as_str(), &unchecked.error, &unchecked.causes);
        }
        page.text
    }
}

struct Page {
    text: String,
    colours: bool,
}

impl Page {
    fn step(&mut self, step: &PlanStep) {
        let PlanStep { id, what, planned } = step;
        match planned {
            Planned::Nothing | Planned::NotNeeded { .. } => {}
            Planned::Change { change } if change.kind == ChangeKind::Wait => {
                self.line(CYAN, &format!(". {id}: {}", change.summary));
            }
            Planned::Blocked { by } => self.line(RED, &format!("x {id}: {what} waits for {by}")),
            Planned::Failed { error, causes } => self.failure(id.as_str(), error, causes),
            Planned::Change { .. } | Planned::React { .. } | Planned::Unknown { .. } => {
                if let Some((kind, summary)) = planned.pending(what) {
                    self.change(kind, id.as_str(), &summary);
                }
                if let Planned::Change { change } = planned {
                    self.diff(&change.diff());
                }
            }
        }
    }

    fn change(&mut self, kind: PendingKind, id: &str, summary: &str) {
        let (sign, colour) = match kind {
            PendingKind::Create => ('+', GREEN),
            PendingKind::Update => ('~', YELLOW),
            PendingKind::Remove => ('-', RED),
            PendingKind::Run | PendingKind::React => ('!', CYAN),
            PendingKind::Unknown => ('?', YELLOW),
        };
        self.line(colour, &format!("{sign} {id}: {summary}"));
    }

    fn failure(&mut self, id: &str, error: &str, causes: &[String]) {
        self.line(RED, &format!("x {id}: {error}"));
        for cause in causes {
            self.line("", &format!("    cause: {}", cause.replace('\n', "\n      ")));
        }
    }

    fn diff(&mut self, diff: &str) {
        for line in diff.lines() {
            let colour = match line.as_bytes().first() {
                Some(b'+') => GREEN,
                Some(b'-') => RED,
                Some(b'@') => CYAN,
                _ => "",
            };
            self.line(colour, &format!("    {line}"));
        }
    }

    fn line(&mut self, colour: &str, line: &str) {
        if self.colours && !colour.is_empty() {
            writeln!(self.text, "\u{1b}[{colour}m{line}\u{1b}[0m").expect("writing to a string cannot fail");
        } else {
            self.text.push_str(line);
            self.text.push('\n');
        }
    }
}

impl Planned {
    /// What kind of change it is and a line about it; `None` where nothing would be changed. Waiting is no change.
    pub(crate) fn pending(&self, what: &str) -> Option<(PendingKind, String)> {
        Some(match self {
            Self::Change { change } => {
                let kind = match change.kind {
                    ChangeKind::Create => PendingKind::Create,
                    ChangeKind::Update => PendingKind::Update,
                    ChangeKind::Remove => PendingKind::Remove,
                    ChangeKind::Run => PendingKind::Run,
                    ChangeKind::Wait => return None,
                };
                (kind, change.summary.clone())
            }
            Self::React { to } => {
                let names: Vec<&str> = to.iter().map(StateId::as_str).collect();
                (PendingKind::React, format!("{what} reacts to {}", names.join(", ")))
            }
            Self::Unknown { before } => {
                (PendingKind::Unknown, format!("{what} cannot be known before {before}"))
            }
            Self::Nothing | Self::NotNeeded { .. } | Self::Blocked { .. } | Self::Failed { .. } => {
                return None;
            }
        })
    }
}

impl Change {
    /// The texts before and after as a unified diff with three lines of context; empty where neither may be
    /// shown.
    pub fn diff(&self) -> String {
        match (&self.before, &self.after) {
            (None, None) => String::new(),
            (before, after) => {
                unified_diff(before.as_deref().unwrap_or_default(), after.as_deref().unwrap_or_default())
            }
        }
    }
}

fn unified_diff(before: &str, after: &str) -> String {
    // Values such as kernel parameters have no line break, and nobody misses it.
    let hint = before.ends_with('\n') != after.ends_with('\n');
    TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(3)
        .missing_newline_hint(hint)
        .to_string()
}

#[cfg(test)]
mod tests {
    use crate::{Change, ChangeKind, Graph, Plan, PlanStep, Planned, State, state::Swap};

    #[test]
    fn a_plan_shows_diffs_and_counts_what_is_true_already() {
        let mut graph = Graph::default();
        let mut id = |name: &str| graph.add(name, State::Swap(Swap { enabled: false }));
        let (hosts, kubelet, swap) = (id("hosts"), id("kubelet"), id("swap"));
        let step = |id, what: &str, planned| PlanStep { id, what: what.to_owned(), planned };
        let change = Change {
            before: Some("a\nb\n".to_owned()),
            after: Some("a\nc\n".to_owned()),
            ..Change::new(ChangeKind::Update, "write /etc/hosts")
        };
        let plan = Plan {
            steps: vec![
                step(hosts.clone(), "File /etc/hosts", Planned::Change { change }),
                step(kubelet, "Service kubelet.service", Planned::Unknown { before: hosts }),
                step(swap, "Swap off", Planned::Nothing),
            ],
        };
        assert_eq!(
            plan.text(false),
            "~ hosts: write /etc/hosts\n    @@ -1,2 +1,2 @@\n     a\n    -b\n    +c\n\
             ? kubelet: Service kubelet.service cannot be known before hosts\n\n\
             3 states: 1 to change, 1 cannot be known yet\n"
        );
        assert!(plan.text(true).contains("\u{1b}[32m    +c\u{1b}[0m"));
        assert!(!plan.is_clean());
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
    }
}
