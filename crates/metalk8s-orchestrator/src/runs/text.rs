//! Runs as a person reads them.

use jiff::{Timestamp, tz::TimeZone};
use metalk8s_diagnostics::Paint;

use super::{Run, RunState, StepState};

/// A line for each run, the oldest first; times of day are in `zone`.
pub fn list_text(runs: &[Run], zone: &TimeZone, paint: Paint) -> String {
    let mut table = Table::new(["RUN", "WHAT", "BEGAN", "ENDED", "STATE", "CHANGED"]);
    for run in runs {
        let ended = if run.state == RunState::Interrupted { None } else { run.ended };
        table.row([
            plain(run.run.as_str()),
            plain(&run.what),
            plain(&time(run.began, zone)),
            plain(&time(ended, zone)),
            word_of_run(run.state),
            plain(&changed(run).to_string()),
        ]);
    }
    table.text(paint)
}

/// All of one run.
pub fn show_text(run: &Run, zone: &TimeZone, paint: Paint) -> String {
    let (state, colour) = word_of_run(run.state);
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        text.push_str(&format!("{}{value}\n", paint.bold(&format!("{label:<10}"))));
    };
    line("run", run.run.as_str());
    line("what", &format!("{}, version {}", run.what, run.version));
    line("state", &painted(&state, colour, paint));
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
        let number = |text: String| plain(if waits { "-" } else { &text });
        table.row([
            plain(&step.step),
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

/// A word with the colour it is shown in.
type Cell = (String, Option<fn(Paint, &str) -> String>);

fn plain(text: &str) -> Cell {
    (if text.is_empty() { "-" } else { text }.to_owned(), None)
}

fn painted(text: &str, colour: Option<fn(Paint, &str) -> String>, paint: Paint) -> String {
    colour.map_or_else(|| text.to_owned(), |colour| colour(paint, text))
}

fn word_of_run(state: RunState) -> Cell {
    match state {
        RunState::Finished => ("finished".to_owned(), Some(Paint::green)),
        RunState::Failed => ("failed".to_owned(), Some(Paint::red)),
        RunState::Interrupted => ("interrupted".to_owned(), Some(Paint::yellow)),
        RunState::Running => ("running".to_owned(), Some(Paint::bold)),
        RunState::Unreadable => ("unreadable".to_owned(), Some(Paint::red)),
    }
}

fn word_of_step(state: StepState) -> Cell {
    match state {
        StepState::Done => ("done".to_owned(), Some(Paint::green)),
        StepState::Failed => ("failed".to_owned(), Some(Paint::red)),
        StepState::Interrupted => ("interrupted".to_owned(), Some(Paint::yellow)),
        StepState::Running => ("running".to_owned(), Some(Paint::bold)),
        StepState::Waiting => plain("waiting"),
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

/// Columns as wide as their widest word; what is coloured is not counted wider.
struct Table<const COLUMNS: usize> {
    rows: Vec<[Cell; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    fn new(titles: [&str; COLUMNS]) -> Self {
        Self { rows: vec![titles.map(|title| (title.to_owned(), Some(Paint::bold as _)))] }
    }

    fn row(&mut self, cells: [Cell; COLUMNS]) {
        self.rows.push(cells);
    }

    fn text(&self, paint: Paint) -> String {
        let width = |column: usize| {
            self.rows.iter().map(|row| row[column].0.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            for (column, ((word, colour), width)) in row.iter().zip(&widths).enumerate() {
                text.push_str(&painted(word, *colour, paint));
                if column + 1 < COLUMNS {
                    text.push_str(&" ".repeat(width - word.chars().count() + 2));
                }
            }
            text.push('\n');
        }
        text
    }
}
