//! The list of states with its summary, as Salt's users know it, in its colours: green is as it was, cyan
//! changed, yellow would change, red failed.

use std::{fmt::Write, str::FromStr};

use metalk8s_diagnostics::Paint;
use serde_json::{Map, Value};

use super::{nested, python};

/// How much is printed of each state (`--state-output`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StateOutput {
    /// Everything.
    #[default]
    Full,
    /// One line.
    Terse,
    /// One line, but everything where it failed.
    Mixed,
    /// One line, but everything where it failed or changed.
    Changes,
}

impl FromStr for StateOutput {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "full" => Ok(Self::Full),
            "terse" => Ok(Self::Terse),
            "mixed" => Ok(Self::Mixed),
            "changes" => Ok(Self::Changes),
            other => Err(format!("`{other}` is none of `full`, `terse`, `mixed`, `changes`")),
        }
    }
}

/// All states in the order they ran, then the summary.
pub(super) fn display(id: &str, returned: &Map<String, Value>, detail: StateOutput, paint: Paint) -> String {
    let mut states: Vec<(&String, &Value)> = returned.iter().collect();
    states.sort_by_key(|(_, entry)| entry["__run_num__"].as_u64().unwrap_or(u64::MAX));
    let any = |is: fn(&Value) -> bool| states.iter().any(|(_, entry)| is(&entry["result"]));
    let colour = match (any(|result| *result == Value::Bool(false)), any(Value::is_null)) {
        (true, _) => Paint::red,
        (false, true) => Paint::yellow,
        (false, false) => Paint::green,
    };
    let entries: String = states.iter().map(|(key, state)| entry(key, state, detail, paint)).collect();
    head(id, colour, paint) + &entries + &summary(id, states.iter().map(|(_, entry)| *entry), paint)
}

/// The line above all states.
pub(super) fn head(id: &str, colour: Colour, paint: Paint) -> String {
    let mut page = Page::new(paint);
    page.line(colour, &format!("{id}:"));
    page.out
}

/// One state, as much as is wished.
pub(super) fn entry(key: &str, entry: &Value, detail: StateOutput, paint: Paint) -> String {
    let failed = entry["result"] == Value::Bool(false);
    let full = match detail {
        StateOutput::Full => true,
        StateOutput::Terse => false,
        StateOutput::Mixed => failed,
        StateOutput::Changes => failed || is_changed(entry),
    };
    let mut page = Page::new(paint);
    if full {
        page.full(key, entry, detail)
    } else {
        page.terse(key, entry)
    }
    page.out
}

/// What stands below all states.
pub(super) fn summary<'a>(id: &str, entries: impl Iterator<Item = &'a Value>, paint: Paint) -> String {
    let mut page = Page::new(paint);
    page.summary(id, entries);
    page.out
}

pub(super) type Colour = fn(Paint, &str) -> String;

fn colour_of(entry: &Value) -> Colour {
    match &entry["result"] {
        Value::Bool(false) => Paint::red,
        Value::Null => Paint::yellow,
        _ if is_changed(entry) => Paint::cyan,
        _ => Paint::green,
    }
}

struct Page {
    out: String,
    paint: Paint,
}

/// The parts of `file_|-id_|-name_|-managed`.
fn parts(key: &str) -> [&str; 4] {
    let mut parts = key.splitn(2, "_|-");
    let module = parts.next().unwrap_or_default();
    let rest = parts.next().unwrap_or_default();
    let (rest, function) = rest.rsplit_once("_|-").unwrap_or((rest, ""));
    let (id, name) = rest.split_once("_|-").unwrap_or((rest, rest));
    [module, id, name, function]
}

/// The states of several minions, where applying them was what the state did.
fn of_minions(entry: &Value) -> Option<&Map<String, Value>> {
    let changes = &entry["changes"];
    changes["ret"].as_object().filter(|_| changes["out"] == "highstate")
}

fn is_changed(entry: &Value) -> bool {
    if let Some(minions) = of_minions(entry) {
        return minions.values().filter_map(Value::as_object).flat_map(Map::values).any(is_changed);
    }
    entry["changes"].as_object().is_some_and(|changes| !changes.is_empty())
}

impl Page {
    fn new(paint: Paint) -> Self {
        Self { out: String::new(), paint }
    }

    /// Each line by itself, so that one that is cut or searched for keeps its colour.
    fn line(&mut self, colour: Colour, text: &str) {
        for line in text.split('\n') {
            self.out.push_str(&if line.is_empty() { String::new() } else { colour(self.paint, line) });
            self.out.push('\n');
        }
    }

    fn full(&mut self, key: &str, entry: &Value, detail: StateOutput) {
        let [module, id, name, function] = parts(key);
        let comment = python::plain(&entry["comment"]).trim_end().replace('\n', "\n              ");
        let mut lines = vec![
            "----------".to_owned(),
            format!("          ID: {id}"),
            format!("    Function: {module}.{function}"),
        ];
        if name != id {
            lines.push(format!("        Name: {}", name.trim_end().replace('\n', "\n              ")));
        }
        lines.push(format!("      Result: {}", python::plain(&entry["result"])));
        lines.push(format!("     Comment: {comment}"));
        lines.push(format!("     Started: {}", python::plain(&entry["start_time"])));
        lines.push(format!("    Duration: {} ms", python::plain(&entry["duration"])));
        lines.push("     Changes:   ".to_owned());
        self.line(colour_of(entry), &lines.join("\n"));
        if let Some(minions) = of_minions(entry) {
            self.minions(minions, detail);
        } else if is_changed(entry) {
            self.out.push_str(&nested::display(&entry["changes"], 14, self.paint));
        }
    }

    /// A minion that has no states to tell of said why in a text.
    fn minions(&mut self, minions: &Map<String, Value>, detail: StateOutput) {
        for (id, told) in minions {
            let printed = match told {
                Value::Object(states) => display(id, states, detail, self.paint),
                other => nested::display(
                    &Value::Object(Map::from_iter([(id.clone(), other.clone())])),
                    0,
                    self.paint,
                ),
            };
            for line in printed.lines() {
                self.out.push_str(&format!("{:14}{line}\n", ""));
            }
        }
    }

    fn terse(&mut self, key: &str, entry: &Value) {
        let [module, _, name, function] = parts(key);
        let result = match &entry["result"] {
            Value::Bool(false) => "Failed",
            Value::Null => "Differs",
            _ if is_changed(entry) => "Changed",
            _ => "Clean",
        };
        let (start, duration) = (python::plain(&entry["start_time"]), python::plain(&entry["duration"]));
        let line = format!(
            "  Name: {name} - Function: {module}.{function} - Result: {result} - Started: {start} - Duration: {duration} ms"
        );
        self.line(colour_of(entry), &line);
    }

    fn summary<'a>(&mut self, id: &str, entries: impl Iterator<Item = &'a Value>) {
        let (mut good, mut untouched, mut failed, mut changed, mut milliseconds) =
            (0_usize, 0_usize, 0_usize, 0_usize, 0.0);
        for entry in entries {
            match &entry["result"] {
                Value::Bool(false) => failed += 1,
                Value::Null => untouched += 1,
                _ => good += 1,
            }
            changed += usize::from(is_changed(entry));
            milliseconds += entry["duration"].as_f64().unwrap_or(0.0);
        }
        let digits =
            [good, untouched, failed].into_iter().map(|count| count.to_string().len()).max().unwrap_or(1);
        // Widths are Salt's: the longest label, `Succeeded`, with `: ` and the longest count.
        let width = "Succeeded".len() + 2 + digits;
        let rule = "-".repeat(width);
        let mut notes = Vec::new();
        if untouched > 0 {
            notes.push(self.paint.yellow(&format!("unchanged={untouched}")));
        }
        if changed > 0 {
            notes.push(self.paint.green(&format!("changed={changed}")));
        }
        let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
        let count =
            |label: &str, count: usize| format!("{label}: {count:>width$}", width = width - label.len() - 2);
        let (time, unit) =
            if milliseconds > 999.0 { (milliseconds / 1000.0, "s") } else { (milliseconds, "ms") };
        let time = format!("{time:.3}");
        self.line(Paint::cyan, &format!("\nSummary for {id}\n{rule}"));
        let succeeded = self.paint.green(&count("Succeeded", good + untouched));
        writeln!(self.out, "{succeeded}{notes}").expect("writing to a string cannot fail");
        self.line(if failed > 0 { Paint::red } else { Paint::cyan }, &count("Failed", failed));
        self.line(Paint::cyan, &rule);
        let total = good + untouched + failed;
        self.line(Paint::cyan, &format!("Total states run: {total:>width$}", width = width - 7));
        self.line(Paint::cyan, &format!("Total run time: {time:>width$} {unit}", width = width - 5));
    }
}
