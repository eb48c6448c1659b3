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

use crate::{ChunkInfo, Compiled, sls::MOD_WATCH};

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
        if told.is_idle_listener() {
            return None;
        }
        let ChunkInfo { id, name, module: _, function: _, sls } = info;
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
        if told.left_alone().is_some() {
            entry["skip_watch"] = true.into();
        } else if matches!(report.outcome, Outcome::NotNeeded | Outcome::NotRun { .. }) {
            entry["__state_ran__"] = false.into();
        }
        Some((info.key(), entry))
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

    /// The condition that left it alone, in Salt's words.
    fn left_alone(&self) -> Option<&'a str> {
        let because = self.report.comment.strip_prefix("not needed, because ")?;
        let mut guards = self.step.guards.iter().map(|guard| guard.because.as_str());
        guards.find(|guard| self.report.outcome == Outcome::NotNeeded && *guard == because)
    }

    /// Whether it listens and heard nothing; Salt does not tell of those.
    fn is_idle_listener(&self) -> bool {
        let idle = matches!(self.report.outcome, Outcome::NotNeeded | Outcome::Unchanged);
        self.info.function == MOD_WATCH && idle
    }

    /// Whether it was only looked at.
    fn is_test(&self) -> bool {
        self.report.outcome == Outcome::WouldChange
    }
}
