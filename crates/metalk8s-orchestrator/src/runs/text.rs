//! Runs as a person reads them.

use jiff::{Timestamp, tz::TimeZone};
use metalk8s_diagnostics::{Cell, Paint, Table};

use super::{Run, RunState, StepState};

/// A line for each run, the oldest first; times of day are in `zone`.
pub fn list_text(runs: &[Run], zone: &TimeZone, paint: Paint) -> String {
    let mut table = Table::new(["RUN", "WHAT", "BEGAN", "ENDED", "STATE", "CHANGED"]);
    for run in runs {
        let ended = if run.state == RunState::Interrupted { None } else { run.ended };
        table.row([
            Cell::plain(run.run.as_str()),
            Cell::plain(&run.what),
            Cell::plain(&time(run.began, zone)),
            Cell::plain(&time(ended, zone)),
            word_of_run(run.state),
            Cell::plain(&changed(run).to_string()),
        ]);
    }
    table.text(paint)
}

/// All of one run.
pub fn show_text(run: &Run, zone: &TimeZone, paint: Paint) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        text.push_str(&format!("{}{value}\n", paint.bold(&format!("{label:<10}"))));
    };
    line("run", run.run.as_str());
    line("what", &format!("{}, version {}", run.what, run.version));
    line("state", &word_of_run(run.state).text(paint));
    line("began", &time(run.began, zone));
    match run.state {
        RunState::Interrupted => line("last seen", &time(run.ended, zone)),
        _ => line("ended", &time(run.ended, zone)),
    }
    if run.resumed > 0 {
        line("resumed", &times(run.resumed));
    }
    let mut table = Table::new(["STEP", "STATE", "SECONDS", "CHANGED"]);
    for step in &run.steps {
        let waits = step.state == StepState::Waiting;
        let number = |text: String| Cell::plain(if waits { "-" } else { &text });
        table.row([
            Cell::plain(&step.step),
            word_of_step(step.state),
            number(format!("{:.1}", step.seconds)),
            number(step.changed.to_string()),
        ]);
    }
    if !run.steps.is_empty() {
        text.push('\n');
        text.push_str(&table.text(paint));
    }
    if !run.failure.is_empty() {
        text.push_str(&format!("\n{}\n", paint.bold("last failure")));
        for line in run.failure.iter().flat_map(|failure| failure.lines()) {
            text.push_str(&format!("  {line}\n"));
        }
    }
    text
}

fn word_of_run(state: RunState) -> Cell {
    match state {
        RunState::Finished => Cell::painted("finished", Paint::green),
        RunState::Failed => Cell::painted("failed", Paint::red),
        RunState::Interrupted => Cell::painted("interrupted", Paint::yellow),
        RunState::Running => Cell::painted("running", Paint::bold),
        RunState::Unreadable => Cell::painted("unreadable", Paint::red),
        RunState::Waiting => Cell::plain("waiting"),
        RunState::Cancelled => Cell::painted("cancelled", Paint::yellow),
    }
}

fn word_of_step(state: StepState) -> Cell {
    match state {
        StepState::Done => Cell::painted("done", Paint::green),
        StepState::Failed => Cell::painted("failed", Paint::red),
        StepState::Interrupted => Cell::painted("interrupted", Paint::yellow),
        StepState::Running => Cell::painted("running", Paint::bold),
        StepState::Waiting => Cell::plain("waiting"),
    }
}

fn changed(run: &Run) -> usize {
    run.steps.iter().map(|step| step.changed).sum()
}

fn time(moment: Option<Timestamp>, zone: &TimeZone) -> String {
    moment.map_or_else(
        || "-".to_owned(),
        |moment| moment.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

fn times(count: usize) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}
