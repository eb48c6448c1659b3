//! A report of the engine in the shape that Salt returns.

use jiff::tz::TimeZone;
use metalk8s_engine::{Change, ChangeKind, Outcome, Report, StateId, StepReport};
use serde_json::{Map, Value, json};

use crate::{ChunkInfo, Compiled};

/// State id to result, comment, changes, name, start time, duration and so on, as `state.apply` returns it.
///
/// Times of day are in `zone`, as Salt's are in the host's own.
pub fn state_return(report: &Report, compiled: &Compiled, zone: &TimeZone) -> Map<String, Value> {
    let entries = report.steps.iter().filter_map(|step| {
        let info = compiled.chunks.get(&step.id)?;
        let ChunkInfo { id, name, module, function, sls } = info;
        let start = step.started.to_zoned(zone.clone()).strftime("%H:%M:%S.%6f").to_string();
        let entry = json!({
            "name": name,
            "changes": changes(step, module),
            "result": step.result,
            "comment": comment(step, info, compiled),
            "__sls__": sls,
            "__run_num__": step.run_number,
            "start_time": start,
            "duration": (step.duration_ms * 1000.0).round() / 1000.0,
            "__id__": id,
        });
        Some((format!("{module}_|-{id}_|-{name}_|-{function}"), entry))
    });
    entries.collect()
}

/// Whether no state of a return failed.
pub fn is_success(returned: &Map<String, Value>) -> bool {
    returned.values().all(|entry| entry["result"] != Value::Bool(false))
}

fn changes(step: &StepReport, module: &str) -> Value {
    let mut changes = Map::new();
    for change in &step.changes {
        let name = match change.kind {
            ChangeKind::Create => "created",
            ChangeKind::Update => "changed",
            ChangeKind::Remove => "removed",
            ChangeKind::Run => "run",
            ChangeKind::Wait => "waited",
        };
        match diff(change) {
            Some(diff) if module == "file" => changes.insert("diff".to_owned(), diff.into()),
            _ => changes.insert(name.to_owned(), change.summary.clone().into()),
        };
    }
    changes.into()
}

fn diff(change: &Change) -> Option<String> {
    match (&change.before, &change.after) {
        (None, Some(_)) => Some("New file".to_owned()),
        (Some(_), Some(_)) => {
            let diff = change.diff();
            (!diff.is_empty()).then(|| format!("--- \n+++ \n{diff}"))
        }
        (_, None) => None,
    }
}

fn comment(step: &StepReport, info: &ChunkInfo, compiled: &Compiled) -> String {
    let called = |id: &StateId| match compiled.chunks.get(id) {
        Some(ChunkInfo { sls, id, .. }) if !sls.is_empty() => format!("{sls}.{id}"),
        Some(ChunkInfo { id, .. }) => id.clone(),
        None => id.to_string(),
    };
    match &step.outcome {
        Outcome::Unchanged => in_place(info),
        Outcome::NotNeeded => format!("State was not run: {}", step.comment),
        Outcome::NotRun { because } => format!("One or more requisite failed: {}", called(because)),
        Outcome::Unknown { before } => format!("Cannot be known before {} is applied", called(before)),
        Outcome::Changed | Outcome::WouldChange | Outcome::Failed => {
            let lines: Vec<&str> =
                std::iter::once(&step.comment).chain(&step.causes).map(String::as_str).collect();
            lines.join("\n")
        }
    }
}

fn in_place(info: &ChunkInfo) -> String {
    let ChunkInfo { name, module, function, .. } = info;
    match (module.as_str(), function.as_str()) {
        ("file", "absent") => format!("File {name} is not present"),
        ("file", "directory") => format!("The directory {name} is in the correct state"),
        ("file", _) => format!("File {name} is in the correct state"),
        ("pkg", _) => "All specified packages are already installed".to_owned(),
        ("service", "running") => format!("The service {name} is already running"),
        ("service", "dead") => format!("The service {name} is already dead"),
        ("mount", _) => "Target was already mounted".to_owned(),
        ("cmd", _) => "No condition asks for this command".to_owned(),
        _ => format!("{name} is in the correct state"),
    }
}
