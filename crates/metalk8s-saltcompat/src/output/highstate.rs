//! The list of states with its summary, as Salt's users know it.

use std::{fmt::Write, str::FromStr};

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
pub(super) fn display(id: &str, returned: &Map<String, Value>, detail: StateOutput) -> String {
    let mut states: Vec<(&String, &Value)> = returned.iter().collect();
    states.sort_by_key(|(_, entry)| entry["__run_num__"].as_u64().unwrap_or(u64::MAX));
    let mut out = format!("{id}:\n");
    for (key, entry) in &states {
        let failed = entry["result"] == Value::Bool(false);
        let full = match detail {
            StateOutput::Full => true,
            StateOutput::Terse => false,
            StateOutput::Mixed => failed,
            StateOutput::Changes => failed || is_changed(entry),
        };
        if full { write_full(&mut out, key, entry) } else { write_terse(&mut out, key, entry) }
    }
    summary(&mut out, id, states.iter().map(|(_, entry)| *entry));
    out
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

fn is_changed(entry: &Value) -> bool {
    entry["changes"].as_object().is_some_and(|changes| !changes.is_empty())
}

fn write_full(out: &mut String, key: &str, entry: &Value) {
    let [module, id, name, function] = parts(key);
    let comment = python::plain(&entry["comment"]).trim_end().replace('\n', "\n              ");
    let mut lines = vec![format!("          ID: {id}"), format!("    Function: {module}.{function}")];
    if name != id {
        lines.push(format!("        Name: {}", name.trim_end().replace('\n', "\n              ")));
    }
    lines.push(format!("      Result: {}", python::plain(&entry["result"])));
    lines.push(format!("     Comment: {comment}"));
    lines.push(format!("     Started: {}", python::plain(&entry["start_time"])));
    lines.push(format!("    Duration: {} ms", python::plain(&entry["duration"])));
    out.push_str("----------\n");
    out.push_str(&lines.join("\n"));
    out.push_str("\n     Changes:   \n");
    if is_changed(entry) {
        out.push_str(&nested::display(&entry["changes"], 14));
    }
}

fn write_terse(out: &mut String, key: &str, entry: &Value) {
    let [module, _, name, function] = parts(key);
    let result = match &entry["result"] {
        Value::Bool(false) => "Failed",
        Value::Null => "Differs",
        _ if is_changed(entry) => "Changed",
        _ => "Clean",
    };
    let (start, duration) = (python::plain(&entry["start_time"]), python::plain(&entry["duration"]));
    writeln!(
        out,
        "  Name: {name} - Function: {module}.{function} - Result: {result} - Started: {start} - Duration: {duration} ms"
    )
    .expect("writing to a string cannot fail");
}

fn summary<'a>(out: &mut String, id: &str, entries: impl Iterator<Item = &'a Value>) {
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
        notes.push(format!("unchanged={untouched}"));
    }
    if changed > 0 {
        notes.push(format!("changed={changed}"));
    }
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
    let count =
        |label: &str, count: usize| format!("{label}: {count:>width$}", width = width - label.len() - 2);
    let (time, unit) = if milliseconds > 999.0 { (milliseconds / 1000.0, "s") } else { (milliseconds, "ms") };
    let time = format!("{time:.3}");
    let lines = [
        String::new(),
        format!("Summary for {id}"),
        rule.clone(),
        format!("{}{notes}", count("Succeeded", good + untouched)),
        count("Failed", failed),
        rule,
        format!("Total states run: {:>width$}", good + untouched + failed, width = width - 7),
        format!("Total run time: {time:>width$} {unit}", width = width - 5),
    ];
    out.push_str(&lines.join("\n"));
    out.push('\n');
}
