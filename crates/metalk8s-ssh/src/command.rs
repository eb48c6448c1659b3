//! A command for a machine, and what became of it.

use std::{fmt, sync::Arc, time::Duration};

use crate::words::shown;

/// How much of each output is kept.
const KEPT: usize = 1024 * 1024;

/// Called for each line of the output, without its end.
type OnLine = Arc<dyn Fn(&str) + Send + Sync>;

/// A program with its arguments. They arrive as they are: no shell expands anything in them.
#[derive(Clone)]
pub struct Command {
    pub(crate) words: Vec<String>,
    pub(crate) stdin: Vec<u8>,
    pub(crate) deadline: Duration,
    pub(crate) kept: usize,
    pub(crate) on_line: Option<OnLine>,
    /// What it is called in messages, in place of its words.
    pub(crate) title: Option<String>,
}

impl Command {
    /// A program that must have ended `deadline` after its start.
    pub fn new(program: impl Into<String>, deadline: Duration) -> Self {
        Self {
            words: vec![program.into()],
            stdin: Vec::new(),
            deadline,
            kept: KEPT,
            on_line: None,
            title: None,
        }
    }

    /// The same with one more argument.
    #[must_use]
    pub fn arg(mut self, word: impl Into<String>) -> Self {
        self.words.push(word.into());
        self
    }

    /// The same with more arguments.
    #[must_use]
    pub fn args<W: Into<String>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.words.extend(words.into_iter().map(Into::into));
        self
    }

    /// The same with something to read; otherwise its input is empty.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// The same, of each output of which at most this many bytes are kept (otherwise 1 MiB).
    #[must_use]
    pub fn keep(mut self, bytes: usize) -> Self {
        self.kept = bytes;
        self
    }

    /// The same, with every line of its output told as it comes, also those that are not kept.
    ///
    /// A line is told without control characters, and a very long one in pieces.
    #[must_use]
    pub fn on_line(mut self, told: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.on_line = Some(Arc::new(told));
        self
    }

    /// For messages; long ones are cut.
    pub(crate) fn shown(&self) -> String {
        let words = self.title.clone().unwrap_or_else(|| self.words.join(" "));
        shown(words.as_bytes(), 100)
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("words", &self.words)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// A command that came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub end: End,
    /// What it wrote to its output.
    pub stdout: Output,
    /// What it wrote to its error output.
    pub stderr: Output,
}

impl Ran {
    /// Whether it ended with status 0.
    pub fn is_success(&self) -> bool {
        self.end == End::Status(0)
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status.
    Status(u32),
    /// By a signal, such as `KILL`.
    Signal(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// What a command wrote, up to a bound.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// The first bytes of it.
    pub bytes: Vec<u8>,
    /// How many bytes came after those and are gone.
    pub dropped: u64,
}

impl Output {
    /// What was kept as text, as it is.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// As one line that can be shown: without control characters and cut.
    pub fn shown(&self, limit: usize) -> String {
        shown(&self.bytes, limit)
    }

    pub(crate) fn take(&mut self, bytes: &[u8], limit: usize) {
        let room = limit.saturating_sub(self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        self.dropped += (bytes.len() - room) as u64;
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("shown", &self.shown(200)).field("dropped", &self.dropped).finish()
    }
}
