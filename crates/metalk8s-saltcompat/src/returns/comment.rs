//! What happened, in a line or a few, in Salt's words.

use metalk8s_engine::{
    ChangeKind, Outcome, RequisiteKind, State, StateId,
    state::{Edit, Extracted, FileEdit, Removed, Symlink},
};

use super::Told;
use crate::ChunkInfo;

/// How the engine ends the comment of what was not run because the whole run stopped.
const STOPS_RUN: &str = "that stops the run";

impl Told<'_> {
    pub(super) fn comment(&self) -> String {
        match &self.report.outcome {
            Outcome::Unchanged => self.in_place(),
            Outcome::NotNeeded => self.not_needed().to_owned(),
            Outcome::NotRun { because } if self.report.comment.ends_with(STOPS_RUN) => {
                format!("Not run, because {} failed, which has failhard", self.called(because))
            }
            Outcome::NotRun { because } => {
                format!("One or more requisite failed: {}", self.called(because))
            }
            Outcome::Unknown { before } => {
                format!("Cannot be known before {} is applied", self.called(before))
            }
            Outcome::Changed => self.changed().unwrap_or_else(|| self.own_words()),
            Outcome::WouldChange => self.would_change().unwrap_or_else(|| self.own_words()),
            Outcome::Failed => self.failed(),
        }
    }

    fn called(&self, id: &StateId) -> String {
        match self.compiled.chunks.get(id) {
            Some(ChunkInfo { sls, id, .. }) if !sls.is_empty() => format!("{sls}.{id}"),
            Some(ChunkInfo { id, .. }) => id.clone(),
            None => id.to_string(),
        }
    }

    /// The engine's comment and the causes below it.
    fn own_words(&self) -> String {
        let lines = std::iter::once(&self.report.comment).chain(&self.report.causes);
        lines.map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    fn is_update(&self) -> bool {
        self.report.changes.iter().any(|change| change.kind == ChangeKind::Update)
    }

    fn in_place(&self) -> String {
        let name = self.name();
        match (self.info.module.as_str(), self.info.function.as_str(), self.state()) {
            (_, _, State::Command(_)) => String::new(),
            (_, _, State::Trial(trial)) => trial.says.clone(),
            (_, _, State::Extracted(_)) => "All files in archive are already present".to_owned(),
            (_, _, State::Removed(Removed::User { .. })) => format!("User {name} is not present"),
            (_, _, State::Removed(Removed::Group { .. })) => "Group not present".to_owned(),
            ("file", "append" | "prepend", _) => format!("File {name} is in correct state"),
            ("file", "replace", _) => "No changes needed to be made".to_owned(),
            ("file", "absent", _) => format!("File {name} is not present"),
            ("file", "directory", _) => format!("The directory {name} is in the correct state"),
            ("file", "symlink", _) => format!("Symlink {name} is present"),
            ("file", _, _) => format!("File {name} is in the correct state"),
            ("pkg", "removed" | "purged", _) => "All specified packages are already absent".to_owned(),
            ("pkg", _, _) => "All specified packages are already installed".to_owned(),
            ("service", "running", _) => format!("The service {name} is already running"),
            ("service", "dead", _) => format!("The service {name} is already dead"),
            ("service", "enabled" | "disabled", _) => {
                let is = &self.info.function;
                format!("Service {name} is already {is}, and is in the desired state")
            }
            (_, _, State::Removed(Removed::HostsName { address: Some(address), .. })) => {
                format!("Host {name} ({address}) already absent")
            }
            ("mount", "unmounted", _) => "Target was already unmounted".to_owned(),
            ("mount", _, _) => "Target was already mounted".to_owned(),
            _ => format!("{name} is in the correct state"),
        }
    }

    /// The engine asks `onfail` first, then `onchanges`, then `prereq`.
    fn not_needed(&self) -> &str {
        if let Some(condition) = self.left_alone() {
            return condition;
        }
        let has = |kind| self.step.requisites.iter().any(|requisite| requisite.kind == kind);
        if has(RequisiteKind::OnFail) && self.report.comment.ends_with("failed") {
            "State was not run because onfail req did not change"
        } else if has(RequisiteKind::OnChanges) {
            "State was not run because none of the onchanges reqs changed"
        } else {
            "No changes detected"
        }
    }

    fn changed(&self) -> Option<String> {
        let name = self.name();
        Some(match self.state() {
            State::File(_) => format!("File {name} updated"),
            State::Directory(_) if self.is_update() => format!("Directory {name} updated"),
            State::Directory(_) => String::new(),
            State::Symlink(Symlink { target, .. }) => {
                format!("Created new symlink {name} -> {}", target.display())
            }
            State::Absent(_) => format!("Removed {name}"),
            State::Command(_) => format!("Command \"{name}\" run"),
            State::FileEdit(FileEdit { edit: Edit::Append(_), .. }) => {
                format!("Appended {} lines", self.lines_added())
            }
            State::FileEdit(FileEdit { edit: Edit::Prepend(_), .. }) => {
                format!("Prepended {} lines", self.lines_added())
            }
            State::FileEdit(FileEdit { edit: Edit::Replace { .. }, .. }) => "Changes were made".to_owned(),
            State::Extracted(Extracted { source, .. }) => {
                format!("{} extracted to {}/", source.display(), name.trim_end_matches('/'))
            }
            State::Removed(Removed::User { .. }) => format!("Removed user {name}"),
            State::Removed(Removed::Group { .. }) => format!("Removed group {name}"),
            State::Removed(Removed::Mount { .. }) => "Target was successfully unmounted".to_owned(),
            _ => return None,
        })
    }

    fn would_change(&self) -> Option<String> {
        let name = self.name();
        Some(match self.state() {
            State::File(_) => format!(
                "The file {name} is set to be changed\nNote: No changes made, actual changes may\n\
                 be different due to other states."
            ),
            State::Directory(_) => {
                let changes = self.changes();
                let of_it = changes[name].as_object().into_iter().flatten();
                let lines = of_it
                    .map(|(key, value)| format!("{name}: {key} - {}\n", value.as_str().unwrap_or_default()));
                format!("The following files will be changed:\n{}", lines.collect::<String>())
            }
            State::Symlink(Symlink { target, .. }) if self.is_update() => {
                format!("Link {name} target is set to be changed to {}", target.display())
            }
            State::Symlink(Symlink { target, .. }) => {
                format!("Symlink {name} to {} is set for creation", target.display())
            }
            State::Absent(_) => format!("{name} is set for removal"),
            State::Command(_) => format!("Command \"{name}\" would have been executed"),
            State::FileEdit(FileEdit { edit: Edit::Replace { .. }, .. }) => {
                "Changes would have been made".to_owned()
            }
            State::FileEdit(_) => format!("File {name} is set to be updated"),
            State::Extracted(Extracted { source, .. }) => {
                let name = name.trim_end_matches('/');
                format!("Archive {} would be extracted to {name}/", source.display())
            }
            State::Removed(Removed::User { .. }) => format!("User {name} set for removal"),
            State::Removed(Removed::Group { .. }) => format!("Group {name} is set for removal"),
            _ => return None,
        })
    }

    /// Lines that a change added.
    fn lines_added(&self) -> usize {
        let count = |text: &Option<String>| text.as_deref().unwrap_or_default().lines().count();
        let changes = self.report.changes.iter();
        changes.map(|change| count(&change.after).saturating_sub(count(&change.before))).sum()
    }

    /// A command that was run and failed is told as Salt does; one that could not be run, or did not end, by
    /// the host's own words.
    fn failed(&self) -> String {
        match self.state() {
            State::Command(_) if self.report.changes.iter().any(|change| change.ran.is_some()) => {
                format!("Command \"{}\" run", self.name())
            }
            State::Command(_) if !self.report.causes.is_empty() => {
                format!("Command \"{}\" run\n{}", self.name(), self.report.causes.join("\n"))
            }
            _ => self.own_words(),
        }
    }
}
