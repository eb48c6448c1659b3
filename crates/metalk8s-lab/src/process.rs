//! Runs other programs, each with a deadline and never with the terminal's input.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};

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
    if let (Some(bytes), Some(mut stdin)) = (input, child.stdin.take()) {
        // A program may end without having read everything; its exit code then tells the story.
        thread::spawn(move || stdin.write_all(&bytes));
    }
    let watched = Watched::new(&mut child).and_then(|mut watched| {
        let status = watched.follow(&mut child, end, on_line)?;
        Ok(status.map(|status| watched.output(code_of(status))))
    });
    if let Ok(Some(output)) = watched {
        return Ok(output);
    }
    // It may have ended in this very moment; then there is nothing left to end.
    let _ = child.kill();
    let _ = child.wait();
    match watched {
        Err(source) => Err(RunError::Wait { shown: shown(command), source }),
        Ok(_) => Err(RunError::Deadline { shown: shown(command), deadline }),
    }
}

/// A program that runs, and what it has said.
struct Watched {
    /// Ready to be read once it has ended (pidfd_open(2)).
    end: OwnedFd,
    stdout: Pipe,
    stderr: Pipe,
}

impl Watched {
    fn new(child: &mut Child) -> io::Result<Self> {
        let end = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
        let stdout = Pipe::new(child.stdout.take().map(OwnedFd::from), Source::Stdout)?;
        let stderr = Pipe::new(child.stderr.take().map(OwnedFd::from), Source::Stderr)?;
        Ok(Self { end, stdout, stderr })
    }

    /// Hands over what it says until it ends; `None` when it does not in time.
    ///
    /// What it had said by then is in its pipes. Children that it leaves may hold them open, and are not waited for.
    fn follow(
        &mut self,
        child: &mut Child,
        end: Instant,
        on_line: &mut dyn FnMut(Source, &str),
    ) -> io::Result<Option<ExitStatus>> {
        loop {
            let status = child.try_wait()?;
            for pipe in [&mut self.stdout, &mut self.stderr] {
                pipe.read(end, on_line)?;
            }
            if status.is_some() {
                for pipe in [&mut self.stdout, &mut self.stderr] {
                    pipe.hand_over_rest(on_line);
                }
                return Ok(status);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.wait(left)?;
        }
    }

    /// Until it has said something or has ended.
    fn wait(&self, deadline: Duration) -> io::Result<()> {
        let open = [&self.stdout, &self.stderr].into_iter().filter_map(|pipe| pipe.file.as_ref());
        let open = open.map(|file| PollFd::new(file, PollFlags::IN));
        let mut waited_for: Vec<_> =
            std::iter::once(PollFd::new(&self.end, PollFlags::IN)).chain(open).collect();
        let deadline = Timespec::try_from(deadline).ok();
        match poll(&mut waited_for, deadline.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn output(self, code: i32) -> Output {
        Output { code, stdout: self.stdout.text, stderr: self.stderr.text }
    }
}

/// One of its outputs.
struct Pipe {
    source: Source,
    /// `None` once nobody can write to it any more.
    file: Option<File>,
    /// What has come of a line that has not ended.
    rest: Vec<u8>,
    text: String,
}

impl Pipe {
    fn new(file: Option<OwnedFd>, source: Source) -> io::Result<Self> {
        if let Some(file) = &file {
            fcntl_setfl(file, fcntl_getfl(file)? | OFlags::NONBLOCK)?;
        }
        Ok(Self { source, file: file.map(File::from), rest: Vec::new(), text: String::new() })
    }

    /// Reads what is there, and hands over the lines that have ended. One that writes without an end is read until
    /// its deadline.
    fn read(&mut self, end: Instant, on_line: &mut dyn FnMut(Source, &str)) -> io::Result<()> {
        let mut buffer = [0; 64 << 10];
        let mut is_first = true;
        while let Some(file) = self.file.as_mut().filter(|_| is_first || Instant::now() < end) {
            is_first = false;
            match file.read(&mut buffer) {
                Ok(0) => self.file = None,
                Ok(count) => {
                    for part in buffer[..count].split_inclusive(|&byte| byte == b'\n') {
                        self.rest.extend(part);
                        if part.ends_with(b"\n") {
                            self.hand_over_rest(on_line);
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn hand_over_rest(&mut self, on_line: &mut dyn FnMut(Source, &str)) {
        if self.rest.is_empty() {
            return;
        }
        let line = String::from_utf8_lossy(&self.rest).into_owned();
        self.rest.clear();
        on_line(self.source, line.trim_end_matches(['\n', '\r']));
        self.text.push_str(&line);
    }
}

fn code_of(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

#[cfg(test)]
mod tests;
