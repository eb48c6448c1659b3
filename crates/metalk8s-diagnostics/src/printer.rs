//! The one place through which a program prints.

use std::{
    error::Error,
    io::{self, Write},
    str::FromStr,
};

use serde::Serialize;

use crate::{Code, Explanation, LogFile, Paint, code_of, colours_wanted, render};

/// The form of data on stdout (`--output`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            "yaml" => Ok(Self::Yaml),
            other => Err(format!("`{other}` is none of `text`, `json`, `yaml`")),
        }
    }
}

/// Prints data to stdout and words for people to stderr.
///
/// A reader that goes away (a closed pipe) is no error: there is nobody left to tell.
pub struct Printer {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    out_paint: Paint,
    err_paint: Paint,
    quiet: bool,
    usual_code: Option<UsualCode>,
    log: Option<LogFile>,
}

/// Finds a code for an error that knows none.
type UsualCode = fn(&(dyn Error + 'static)) -> Code;

impl Printer {
    /// Prints to the process's own streams; `quiet` keeps everything but data and errors.
    pub fn new(quiet: bool) -> Self {
        Self {
            out_paint: Paint::new(colours_wanted(&io::stdout())),
            err_paint: Paint::new(colours_wanted(&io::stderr())),
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            quiet,
            usual_code: None,
            log: None,
        }
    }

    /// The same, which prints no error without a code.
    #[must_use]
    pub fn with_codes(self) -> Self {
        Self { usual_code: Some(code_of), ..self }
    }

    /// Prints to other streams, without colours.
    pub fn to(out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Self {
        Self {
            out: Box::new(out),
            err: Box::new(err),
            out_paint: Paint::default(),
            err_paint: Paint::default(),
            quiet: false,
            usual_code: None,
            log: None,
        }
    }

    /// Writes data to another place from here on, without colours.
    pub fn data_into(&mut self, out: impl Write + Send + 'static) {
        self.out = Box::new(out);
        self.out_paint = Paint::default();
    }

    /// Keeps words for people and errors in a log, too, from here on and without colours.
    pub fn keep_in(&mut self, log: LogFile) {
        self.log = Some(log);
    }

    /// The colours of stdout.
    pub fn paint(&self) -> Paint {
        self.out_paint
    }

    /// Data: text for stdout, ended by a line break.
    pub fn data(&mut self, text: &str) {
        let newline = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
        drop(write!(self.out, "{text}{newline}").and_then(|()| self.out.flush()));
    }

    /// Data as indented JSON.
    ///
    /// # Errors
    /// When the value cannot be written as JSON, such as a map whose keys are no strings.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), serde_json::Error> {
        let text = serde_json::to_string_pretty(value)?;
        self.data(&text);
        Ok(())
    }

    /// A line for people on stderr, unless it must be quiet.
    pub fn say(&mut self, line: &str) {
        self.show(line);
        self.keep(line);
    }

    fn show(&mut self, line: &str) {
        if !self.quiet {
            drop(writeln!(self.err, "{line}"));
        }
    }

    fn keep(&mut self, line: &str) {
        if let Some(log) = &mut self.log {
            drop(log.write_all(format!("{line}\n").as_bytes()));
        }
    }

    /// A warning on stderr, unless it must be quiet.
    pub fn warn(&mut self, line: &str) {
        let label = self.err_paint.yellow("warning:");
        self.show(&format!("{label} {line}"));
        self.keep(&format!("warning: {line}"));
    }

    /// An error on stderr, with causes and hints.
    pub fn error(&mut self, error: &(dyn Error + 'static)) {
        drop(render(error, self.usual_code, self.err_paint, &mut self.err));
        if let Some(log) = &mut self.log {
            drop(render(error, self.usual_code, Paint::default(), log));
        }
    }

    /// What a code means, on stdout.
    pub fn explanation(&mut self, explanation: &Explanation) {
        let title = self.out_paint.bold(&format!("{}: {}", explanation.code, explanation.title));
        self.data(&format!("{title}\n\n{}\n\nWhat to do: {}", explanation.text, explanation.todo));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Diagnosed, explain};

    #[test]
    fn what_people_are_told_is_kept_in_the_log_from_there_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut printer = Printer::to(io::sink(), io::sink());
        printer.say("before");
        printer.keep_in(LogFile::open(&path).unwrap());
        printer.say("the summary");
        printer.warn("beware");
        printer.error(&Diagnosed::with_code(explain::NOT_ROOT, "it cannot be done"));
        let kept = std::fs::read_to_string(path).unwrap();
        assert!(kept.starts_with("the summary\nwarning: beware\n"), "{kept}");
        assert!(kept.contains("it cannot be done") && kept.contains(explain::NOT_ROOT.as_str()), "{kept}");
    }
}
