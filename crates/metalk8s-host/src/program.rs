//! Running programs of the host: with a deadline, bounded output, and errors that say what went wrong.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read as _, Seek as _},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::{
    fs::{MemfdFlags, memfd_create},
    process::{Pid, Signal, kill_process_group},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::{Host, host::Programs};

/// The same for every caller, so that what is found does not depend on who started us.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// More than any list we ask for; a program that says more is not understood any longer.
const MOST_OUTPUT: usize = 16 << 20;
const USUAL_DEADLINE: Duration = Duration::from_secs(60);
/// A child that left a daemon behind may have left its output open with it.
const GRACE_FOR_OUTPUT: Duration = Duration::from_secs(2);

/// A program about to be run. Arguments are shown in errors: never put a secret there.
pub(crate) struct Program {
    command: Command,
    line: String,
    deadline: Duration,
    /// Output beyond this is cut, where it is no error.
    kept: Option<usize>,
    /// It goes on when we do not.
    left_alone: bool,
}

/// What a program said and how it ended.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) pid: Option<u32>,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    #[error("`{program}` is not installed")]
    Missing { program: String },
    #[error("could not start `{line}`")]
    Start { line: String, source: io::Error },
    #[error("could not prepare the input of a program")]
    Input { source: io::Error },
    #[error("could not keep or read what `{line}` says")]
    Output { line: String, source: io::Error },
    #[error("`{line}` was ended after {seconds} s without an answer")]
    Deadline { line: String, seconds: u64 },
    #[error("`{line}` ended with {status}{}", said(.stderr))]
    Failed { line: String, status: String, stderr: String },
    #[error("`{line}` said more than {MOST_OUTPUT} bytes")]
    TooMuch { line: String },
}

impl Host {
    /// A program of this host, by name or absolute path.
    pub(crate) fn program(&self, name: impl AsRef<OsStr>) -> Program {
        let name = name.as_ref();
        let mut command = match self.programs() {
            Programs::Machine => Command::new(name),
            Programs::Chroot(root) => {
                let mut command = Command::new("chroot");
                command.arg(root).arg(name);
                command
            }
            Programs::Folder(folder) => Command::new(folder.join(name)),
        };
        let path = match self.programs() {
            Programs::Machine | Programs::Chroot(_) => PATH.to_owned(),
            Programs::Folder(folder) => format!("{}:{PATH}", folder.display()),
        };
        // Messages are read by us: they must not be translated.
        command.env("PATH", path).env("LC_ALL", "C").stdin(Stdio::null());
        command.process_group(0).kill_on_drop(true);
        Program {
            command,
            line: name.to_string_lossy().into_owned(),
            deadline: USUAL_DEADLINE,
            kept: None,
            left_alone: false,
        }
    }

    /// Whether a program of that name is installed.
    pub(crate) fn has_program(&self, name: &str) -> bool {
        match self.programs() {
            Programs::Folder(folder) => folder.join(name).exists(),
            Programs::Machine | Programs::Chroot(_) => PATH.split(':').any(|folder| {
                let path = PathBuf::from(folder).join(name);
                self.real(&path).is_ok_and(|path| path.exists())
            }),
        }
    }
}

impl Program {
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.line.push(' ');
        self.line.push_str(&arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(self, args: impl IntoIterator<Item = A>) -> Self {
        args.into_iter().fold(self, |program, arg| program.arg(arg))
    }

    pub(crate) fn environment(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn directory(mut self, directory: PathBuf) -> Self {
        self.command.current_dir(directory);
        self
    }

    pub(crate) fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    pub(crate) fn input(mut self, input: impl Into<Stdio>) -> Self {
        self.command.stdin(input);
        self
    }

    /// Lets it go on where nobody waits for it any longer: for work that is worse half done. It speaks into memory
    /// of its own, since its first word into a pipe that nobody reads would end it.
    pub(crate) fn left_alone(mut self) -> Self {
        self.command.kill_on_drop(false);
        self.left_alone = true;
        self
    }

    /// Keeps so many bytes of each output and notes where more was cut, instead of failing: for programs
    /// that are not ours.
    pub(crate) fn keeping(mut self, bytes: usize) -> Self {
        self.kept = Some(bytes);
        self
    }

    /// The words it is run by.
    pub(crate) fn line(&self) -> &str {
        &self.line
    }

    /// Runs it; anything but success is an error.
    pub(crate) async fn run(self) -> Result<Output, ProgramError> {
        let line = self.line.clone();
        let output = self.output().await?;
        match output.failure(&line) {
            None => Ok(output),
            Some(err) => Err(err),
        }
    }

    /// Whether it succeeds; a program that is not installed does not.
    pub(crate) async fn succeeds(self) -> Result<bool, ProgramError> {
        match self.output().await {
            Ok(output) => Ok(output.status.success()),
            Err(ProgramError::Missing { .. }) => Ok(false),
            Err(err) => Err(err),
        }
    }

    /// Runs it, however it ends.
    pub(crate) async fn output(self) -> Result<Output, ProgramError> {
        let Self { mut command, line, deadline, kept, left_alone } = self;
        let line = shortened(&line);
        tracing::debug!(program = %line, "running");
        let failed = |source| ProgramError::Start { line: line.clone(), source };
        let unheard = |source| ProgramError::Output { line: line.clone(), source };
        let memory = left_alone.then(Memory::new).transpose().map_err(unheard)?;
        match &memory {
            Some(memory) => memory.is_spoken_into(&mut command).map_err(unheard)?,
            None => drop(command.stdout(Stdio::piped()).stderr(Stdio::piped())),
        }
        let mut child = start(&mut command).await.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => {
                ProgramError::Missing { program: line.split(' ').next().unwrap_or_default().to_owned() }
            }
            _ => failed(source),
        })?;
        // With it goes our end of its input: otherwise a writer would never see that the program has ended.
        drop(command);
        let pid = child.id();
        let most = kept.unwrap_or(MOST_OUTPUT);
        let stdout = collect(child.stdout.take(), most);
        let stderr = collect(child.stderr.take(), most);
        let ended = timeout(deadline, child.wait()).await;
        let Ok(status) = ended else {
            end(&mut child).await;
            return Err(ProgramError::Deadline { line, seconds: deadline.as_secs() });
        };
        let status = status.map_err(failed)?;
        let (stdout, stderr) = match memory {
            Some(memory) => memory.finish(most).map_err(unheard)?,
            None => (stdout.finish().await, stderr.finish().await),
        };
        if kept.is_none() && stdout.len() > most {
            return Err(ProgramError::TooMuch { line });
        }
        Ok(Output { pid, status, stdout: text(stdout, most), stderr: text(stderr, most) })
    }
}

impl Output {
    /// Why it was no success.
    pub(crate) fn failure(&self, line: &str) -> Option<ProgramError> {
        let said = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        (!self.status.success()).then(|| ProgramError::Failed {
            line: shortened(line),
            status: ending(self.status),
            stderr: last_lines(said),
        })
    }
}

/// Output as text, with a note where it was longer.
fn text(mut bytes: Vec<u8>, most: usize) -> String {
    let is_cut = bytes.len() > most;
    bytes.truncate(most);
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if is_cut {
        text.push_str(&format!("\n[cut after {most} bytes]"));
    }
    text
}

/// Starts it. A program that was written a moment ago may still be open in a child that another thread is
/// just starting, and the kernel then refuses to run it.
async fn start(command: &mut Command) -> io::Result<Child> {
    for _ in 0..50 {
        match command.spawn() {
            Err(err) if err.kind() == io::ErrorKind::ExecutableFileBusy => {
                sleep(Duration::from_millis(10)).await
            }
            result => return result,
        }
    }
    command.spawn()
}

/// The output of a program that is left alone.
struct Memory {
    stdout: File,
    stderr: File,
}

impl Memory {
    fn new() -> io::Result<Self> {
        let file = |name| memfd_create(name, MemfdFlags::CLOEXEC).map(File::from);
        Ok(Self { stdout: file("stdout")?, stderr: file("stderr")? })
    }

    fn is_spoken_into(&self, command: &mut Command) -> io::Result<()> {
        command.stdout(self.stdout.try_clone()?).stderr(self.stderr.try_clone()?);
        Ok(())
    }

    /// So many bytes of each, and one more where there are more.
    fn finish(self, most: usize) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let read = |mut file: File| {
            let mut bytes = Vec::new();
            file.rewind()?;
            file.take(most as u64 + 1).read_to_end(&mut bytes)?;
            io::Result::Ok(bytes)
        };
        Ok((read(self.stdout)?, read(self.stderr)?))
    }
}

/// Output as it comes.
struct Collecting {
    bytes: Arc<Mutex<Vec<u8>>>,
    task: tokio::task::JoinHandle<()>,
}

fn collect(stream: Option<impl AsyncRead + Unpin + Send + 'static>, most: usize) -> Collecting {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&bytes);
    let task = tokio::spawn(async move {
        let Some(mut stream) = stream else { return };
        let mut buffer = vec![0; 16 << 10];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            let mut bytes = into.lock().unwrap_or_else(PoisonError::into_inner);
            // One byte more than allowed is kept, to know that there was more; the rest is drained,
            // because a program that cannot write would never end.
            let room = (most + 1).saturating_sub(bytes.len());
            bytes.extend_from_slice(&buffer[..read.min(room)]);
        }
    });
    Collecting { bytes, task }
}

impl Collecting {
    async fn finish(mut self) -> Vec<u8> {
        if timeout(GRACE_FOR_OUTPUT, &mut self.task).await.is_err() {
            self.task.abort();
        }
        std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Ends a program and everything it started, which shares its process group.
async fn end(child: &mut Child) {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::TERM);
        if timeout(Duration::from_secs(5), child.wait()).await.is_err() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
    let _ = child.kill().await;
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no status".to_owned(),
    }
}

fn said(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!(": {stderr}") }
}

/// What the kernel says where a disk is full (errno(3)).
const DISK_FULL: &str = "No space left on device";

/// The last lines, in which programs say why they failed; and one before them that tells of a full disk, after which
/// programs fail for many other reasons.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let (before, last) = lines.split_at(lines.len().saturating_sub(5));
    let last = last.join("; ");
    let start = last.ceil_char_boundary(last.len().saturating_sub(1_000));
    let last = &last[start..];
    match before.iter().find(|line| line.contains(DISK_FULL)) {
        Some(_) if last.contains(DISK_FULL) => last.to_owned(),
        Some(line) => format!("{}; {last}", shortened(line)),
        None => last.to_owned(),
    }
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(240) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

/// Names as arguments, each checked to be no option.
pub(crate) fn no_option(name: &str) -> Result<OsString, io::Error> {
    if name.starts_with('-') || name.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{name}` is no name")));
    }
    Ok(name.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Lab;

    #[tokio::test]
    async fn a_failure_names_the_program_its_status_and_its_last_words() {
        let lab = Lab::new();
        lab.program("broken", "echo first >&2; echo 'no candidate' >&2; exit 7");
        let err = lab.host.program("broken").arg("now").run().await.unwrap_err();
        assert_eq!(err.to_string(), "`broken now` ended with exit status 7: first; no candidate");
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_ended_with_its_children() {
        let lab = Lab::new();
        lab.program("endless", r#"sleep 1000 & echo $! > "$ROOT/child"; wait"#);
        let err = lab.host.program("endless").deadline(Duration::from_millis(300)).run().await.unwrap_err();
        assert!(matches!(err, ProgramError::Deadline { .. }), "{err}");
        let child = format!("/proc/{}/stat", lab.text("/child").trim());
        // It may stay as a zombie of whoever adopted it.
        while std::fs::read_to_string(&child).is_ok_and(|stat| !stat.contains(") Z ")) {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn what_is_left_alone_speaks_on_when_nobody_hears_it() {
        let lab = Lab::new();
        lab.program(
            "patient",
            r#"touch "$ROOT/begun"
            until test -e "$ROOT/go"; do sleep 0.01; done
            echo warning >&2; echo word; touch "$ROOT/done""#,
        );
        let patient = || lab.host.program("patient").left_alone().run();
        let wait_for = |name: &str| {
            for _ in 0..2_000 {
                if lab.names("/").iter().any(|found| found == name) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            panic!("it never came to make `{name}`");
        };
        // All that reads its output ends with the runtime, as with a process.
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.spawn(patient());
        wait_for("begun");
        drop(runtime);
        lab.file("/go", "");
        wait_for("done");
        let output = tokio::runtime::Runtime::new().unwrap().block_on(patient()).unwrap();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("word\n", "warning\n"));
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let err = Lab::new().host.program("nonesuch").run().await.unwrap_err();
        assert!(err.to_string().contains("nonesuch` is not installed"), "{err}");
    }

    #[test]
    fn long_words_are_cut_from_the_front() {
        assert_eq!(last_lines("a\n\nb\n"), "a; b");
        let full = "dpkg: error: failed to write (No space left on device)";
        let after = "1\n2\n3\n4\n5";
        assert_eq!(last_lines(&format!("a\n{full}\n{after}")), format!("{full}; 1; 2; 3; 4; 5"));
        assert_eq!(last_lines(&format!("{full}\n{after}\n{full}")), format!("2; 3; 4; 5; {full}"));
        assert_eq!(last_lines(&"ä".repeat(3_000)).chars().count(), 500);
    }
}
