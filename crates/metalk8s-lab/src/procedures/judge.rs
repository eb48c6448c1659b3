//! Whether what was seen is what must be seen.

use regex::{Regex, RegexBuilder};

use super::{
    entry::Run,
    facts::{Facts, expand},
};
use crate::process::Output;

/// How many lines of an output a problem shows.
const SHOWN_LINES: usize = 10;

/// What came of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All that must be seen was seen.
    Passed,
    /// Something was not; all of it, and the end of what was printed.
    Failed {
        /// What was not as it must be.
        problems: Vec<String>,
    },
}

/// Compares what a command did with what must come of it.
pub fn judge(run: &Run, facts: &Facts, output: &Output) -> Verdict {
    let (stdout, stderr) = (plain(run, &output.stdout), plain(run, &output.stderr));
    let expect = &run.expect;
    let mut problems = Vec::new();
    let exit = if run.check.is_some() { 0 } else { expect.exit };
    if output.code != exit {
        problems.push(format!("it ended with {}, not with {exit}", output.code));
    }
    let mut look = |patterns: &[String], what: &str, wanted: bool, texts: &[&str]| {
        for pattern in patterns {
            match compile(pattern, facts) {
                Ok(regex) if texts.iter().any(|text| regex.is_match(text)) == wanted => {}
                Ok(regex) if wanted => problems.push(format!("nothing in {what} is like `{regex}`")),
                Ok(regex) => problems.push(format!("something in {what} is like `{regex}`")),
                Err(problem) => problems.push(problem),
            }
        }
    };
    look(&expect.stdout_matches, "the standard output", true, &[&stdout]);
    look(&expect.stderr_matches, "the standard error", true, &[&stderr]);
    look(&expect.output_matches, "the output", true, &[&stdout, &stderr]);
    look(&expect.output_lacks, "the output", false, &[&stdout, &stderr]);
    if problems.is_empty() {
        return Verdict::Passed;
    }
    problems.extend(shown("standard output", &stdout));
    problems.extend(shown("standard error", &stderr));
    Verdict::Failed { problems }
}

/// Without what a terminal adds: it ends its lines otherwise, and shows the end of its input.
fn plain(run: &Run, text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    if run.terminal { text.replace("^@", "").replace("^D\u{8}\u{8}", "") } else { text }
}

/// A pattern with the facts in it, each taken literally. `^` and `$` stand for the ends of a line.
pub(crate) fn compile(pattern: &str, facts: &Facts) -> Result<Regex, String> {
    let text = expand(pattern, |name| facts.get(name).map(|value| regex::escape(&value)))
        .map_err(|name| format!("the pattern `{pattern}` names the fact `{{{name}}}`, which is none"))?;
    let regex = RegexBuilder::new(&text).multi_line(true).build();
    regex.map_err(|error| format!("the pattern `{pattern}` is none: {error}"))
}

fn shown(what: &str, text: &str) -> Option<String> {
    let lines: Vec<_> = text.trim_end().lines().collect();
    let last = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
    (!last.trim().is_empty()).then(|| format!("the end of its {what}:\n{last}"))
}
