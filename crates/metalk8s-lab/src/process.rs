//! Runs other programs, each with a deadline and never with the terminal's input.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

/// How long to go on reading after a program ended: children that it left may hold its outputs open.
const DRAIN: Duration = Duration::from_millis(300);

/// What a program did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its exit code; 128 plus the number of the signal where one ended it.
    pub code: i32,
    /// All of its standard output; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Output {
    /// Whether it ended with 0.
    pub fn success(&self) -> bool {
        self.code == 0
    }
}

/// Which output a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Why a program could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It did not start.
    #[error("could not start `{program}`")]
    Start {
        /// The program's name.
        program: String,
        /// Such as "not found".
        #[source]
        source: io::Error,
    },
    /// It took too long and was ended.
    #[error("`{shown}` did not end within {} s", deadline.as_secs())]
    Deadline {
        /// The command as a person would type it.
        shown: String,
        /// What it was given.
        deadline: Duration,
    },
    /// Its end could not be awaited.
    #[error("could not wait for `{shown}`")]
    Wait {
        /// The command as a person would type it.
        shown: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Runs a program, gives it `input`, and collects what it says.
pub fn capture(
    command: &mut Command,
    input: Option<Vec<u8>>,
    deadline: Duration,
) -> Result<Output, RunError> {
    stream(command, input, deadline, &mut |_, _| {})
}

/// Like [`capture`], and hands over each line as it comes.
pub fn stream(
    command: &mut Command,
    input: Option<Vec<u8>>,
    deadline: Duration,
    on_line: &mut dyn FnMut(Source, &str),
) -> Result<Output, RunError> {
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    watch(command, input, deadline, on_line)
}

/// Like [`capture`], with the input as the command has it: a file, for instance.
pub fn capture_with_own_input(command: &mut Command, deadline: Duration) -> Result<Output, RunError> {
    watch(command, None, deadline, &mut |_, _| {})
}

/// The command as a person would type it.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn watch(
    command: &mut Command,
    input: Option<Vec<u8>>,
    deadline: Duration,
    on_line: &mut dyn FnMut(Source, &str),
) -> Result<Output, RunError> {
    let end = Instant::now() + deadline;
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|source| {
        RunError::Start { program: command.get_program().to_string_lossy().into_owned(), source }
    })?;
    let (sender, lines) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        read_lines(stdout, Source::Stdout, sender.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        read_lines(stderr, Source::Stderr, sender);
    }
    if let (Some(bytes), Some(mut stdin)) = (input, child.stdin.take()) {
        // A program may end without having read everything; its exit code then tells the story.
        thread::spawn(move || stdin.write_all(&bytes));
    }

    let mut output = Output { code: 0, stdout: String::new(), stderr: String::new() };
    let mut ended: Option<Instant> = None;
    loop {
        match lines.recv_timeout(Duration::from_millis(20)) {
            Ok((source, line)) => {
                on_line(source, line.trim_end_matches(['\n', '\r']));
                match source {
                    Source::Stdout => output.stdout.push_str(&line),
                    Source::Stderr => output.stderr.push_str(&line),
                }
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if ended.is_some_and(|since| since.elapsed() > DRAIN) {
            break;
        }
        if ended.is_none() && poll(&mut child, command)?.is_some() {
            ended = Some(Instant::now());
        }
        give_up_after(end, deadline, &mut child, command)?;
    }
    loop {
        if let Some(status) = poll(&mut child, command)? {
            output.code = code_of(status);
            return Ok(output);
        }
        give_up_after(end, deadline, &mut child, command)?;
        thread::sleep(Duration::from_millis(5));
    }
}

fn poll(child: &mut Child, command: &Command) -> Result<Option<ExitStatus>, RunError> {
    child.try_wait().map_err(|source| RunError::Wait { shown: shown(command), source })
}

fn give_up_after(
    end: Instant,
    deadline: Duration,
    child: &mut Child,
    command: &Command,
) -> Result<(), RunError> {
    if Instant::now() < end {
        return Ok(());
    }
    // It may have ended in this very moment; then there is nothing left to end.
    let _ = child.kill();
    let _ = child.wait();
    Err(RunError::Deadline { shown: shown(command), deadline })
}

fn read_lines(output: impl Read + Send + 'static, source: Source, sender: Sender<(Source, String)>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            if sender.send((source, String::from_utf8_lossy(&line).into_owned())).is_err() {
                return;
            }
            line.clear();
        }
    });
}

fn code_of(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

#[cfg(test)]
mod tests;
