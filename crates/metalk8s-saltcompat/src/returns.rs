//! A report of the engine in the shape that Salt returns.
//!
//! Comments and changes of the usual functions are worded as Salt 3008.3 words them, because people and their
//! scripts read them; of all others they are the engine's own.

mod changes;
mod comment;
#[cfg(test)]
mod tests;

use jiff::tz::TimeZone;
use metalk8s_engine::{Outcome, Report, State, Step, StepReport};
use serde_json::{Map, Value, json};

use crate::{ChunkInfo, Compiled};

/// One state that was dealt with, and all that is known about it.
struct Told<'a> {
    report: &'a StepReport,
    info: &'a ChunkInfo,
    step: &'a Step,
    compiled: &'a Compiled,
}

/// State id to result, comment, changes, name, start time, duration and so on, as `state.apply` returns it.
///
/// Times of day are in `zone`, as Salt's are in the host's own.
pub fn state_return(report: &Report, compiled: &Compiled, zone: &TimeZone) -> Map<String, Value> {
    let entries = report.steps.iter().filter_map(|report| {
        let info = compiled.chunks.get(&report.id)?;
        let told = Told { report, info, step: compiled.graph.get(report.id.as_str())?, compiled };
        let ChunkInfo { id, name, module, function, sls } = info;
        let start = report.started.to_zoned(zone.clone()).strftime("%H:%M:%S.%6f").to_string();
        let mut entry = json!({
            "name": name,
            "changes": told.changes(),
            "result": report.result,
            "comment": told.comment(),
            "__sls__": (!sls.is_empty()).then_some(sls),
            "__run_num__": report.run_number,
            "start_time": start,
            "duration": (report.duration_ms * 1000.0).round() / 1000.0,
            "__id__": id,
        });
        if matches!(report.outcome, Outcome::NotNeeded | Outcome::NotRun { .. }) {
            entry["__state_ran__"] = false.into();
        }
        if told.was_kept_from_running() {
            entry["skip_watch"] = true.into();
        }
        Some((format!("{module}_|-{id}_|-{name}_|-{function}"), entry))
    });
    entries.collect()
}

/// Whether no state of a return failed.
pub fn is_success(returned: &Map<String, Value>) -> bool {
    returned.values().all(|entry| entry["result"] != Value::Bool(false))
}

impl<'a> Told<'a> {
    fn state(&self) -> &'a State {
        &self.step.state
    }

    fn name(&self) -> &'a str {
        &self.info.name
    }

    /// Whether it is a command whose conditions did not ask for it.
    fn was_kept_from_running(&self) -> bool {
        let waits = matches!(self.state(), State::Command(command) if !command.only_on_change);
        waits && self.report.outcome == Outcome::Unchanged
    }

    /// Whether it was only looked at.
    fn is_test(&self) -> bool {
        self.report.outcome == Outcome::WouldChange
    }
}
