//! Commands run on the machine.

mod error;
mod heard;

use russh::{ChannelMsg, ChannelWriteHalf, Sig, client::Msg};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    time::{Duration, Instant, timeout, timeout_at},
};

pub use self::error::RunError;
use self::heard::Heard;
use crate::{Command, End, Ran, Session, quote, words};

/// How much is read at once of what a command gets to read.
const PIECE: usize = 32 * 1024;

/// How long the farewell to a command that is given up may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Said on the error output once `sudo` has let the command through, so that its refusal is not taken for the
/// command's own failure.
const BEGUN: &str = "metalk8s: sudo lets this through\n";

/// How much `sudo` may say before that.
const BEFORE: usize = 4096;

impl Session {
    /// Runs a command to its end.
    ///
    /// A status other than 0 is an answer, not an error. What is given up at its deadline is told to end, but
    /// may go on over there when it does not listen; so does one whose future is dropped, until the session ends.
    /// The user's shell there must be one of POSIX.
    ///
    /// # Errors
    /// When the command could not be started, or did not end before the connection or its deadline did.
    pub async fn run(&self, command: &Command) -> Result<Ran, RunError> {
        self.converse(command, command.stdin.as_slice()).await
    }

    /// Runs a command that reads `input`. When that cannot be read to its end, the command sees a short one.
    pub(crate) async fn converse(
        &self,
        command: &Command,
        input: impl AsyncRead + Unpin,
    ) -> Result<Ran, RunError> {
        if command.words.iter().any(|word| word.contains('\0')) {
            return Err(RunError::BadWord { command: command.shown() });
        }
        let deadline = Instant::now() + command.deadline;
        let timed_out = || RunError::TimedOut {
            machine: self.endpoint.to_string(),
            command: command.shown(),
            after: command.deadline,
        };
        let channel = match timeout_at(deadline, self.handle.channel_open_session()).await {
            Ok(Ok(channel)) => channel,
            Ok(Err(error)) => return Err(self.not_started(command, &error)),
            Err(_) => return Err(timed_out()),
        };
        let (mut reader, writer) = channel.split();
        let mut heard = Heard::new(command, if self.endpoint.needs_sudo() { BEFORE } else { 0 });
        let conversation = async {
            writer.exec(true, self.line(command)).await.map_err(|error| self.not_started(command, &error))?;
            let feeding = feed(&writer, input);
            tokio::pin!(feeding);
            let mut fed = None;
            let is_closed = loop {
                tokio::select! {
                    result = &mut feeding, if fed.is_none() => fed = Some(result),
                    message = reader.wait() => match message {
                        Some(ChannelMsg::Failure) => return Err(self.refused(command, "it runs no commands".to_owned())),
                        Some(ChannelMsg::Close) => break true,
                        Some(message) => heard.hear(message),
                        None => break false,
                    },
                }
            };
            match fed {
                Some(Err(source)) => Err(RunError::Input { command: command.shown(), source }),
                _ => Ok(is_closed),
            }
        };
        let is_closed = match timeout_at(deadline, conversation).await {
            Ok(result) => result?,
            Err(_) => {
                // The channel stays open otherwise for as long as the command runs.
                let farewell = async { writer.signal(Sig::TERM).await.and(writer.close().await) };
                let _ = timeout(FAREWELL, farewell).await;
                return Err(timed_out());
            }
        };
        match heard.end() {
            Some(ran) if is_closed => self.without_sudo(command, ran),
            _ => Err(self.lost(command)),
        }
    }

    /// What the shell over there is given. Messages are asked for in English: some are recognised.
    fn line(&self, command: &Command) -> String {
        let words = quote::line(&command.words);
        if self.endpoint.needs_sudo() {
            let script =
                format!("LC_ALL=C; export LC_ALL; printf %s {} >&2; exec \"$@\"", quote::line([BEGUN]));
            let prefix = quote::line(["sudo", "-n", "--", "/bin/sh", "-c", script.as_str(), "sh"]);
            format!("LC_ALL=C; export LC_ALL; exec {prefix} {words}")
        } else {
            format!("LC_ALL=C; export LC_ALL; exec {words}")
        }
    }

    /// The result of the command alone, or what `sudo` had against it.
    fn without_sudo(&self, command: &Command, mut ran: Ran) -> Result<Ran, RunError> {
        if !self.endpoint.needs_sudo() {
            return Ok(ran);
        }
        let said = &mut ran.stderr;
        let begun = BEGUN.as_bytes();
        let Some(place) = said.bytes.windows(begun.len()).position(|window| window == begun) else {
            let machine = self.endpoint.to_string();
            return Err(match ran.end {
                End::Status(127) => RunError::SudoMissing { machine },
                _ => RunError::SudoRefused { machine, source: words::cause(&said.bytes) },
            });
        };
        said.bytes.drain(..place + begun.len());
        let over = said.bytes.len().saturating_sub(command.kept);
        said.bytes.truncate(command.kept);
        said.dropped += over as u64;
        Ok(ran)
    }

    fn not_started(&self, command: &Command, error: &russh::Error) -> RunError {
        match error {
            russh::Error::ChannelOpenFailure(reason) => {
                self.refused(command, format!("it opens no channel ({reason:?})"))
            }
            _ => self.lost(command),
        }
    }

    fn refused(&self, command: &Command, why: String) -> RunError {
        RunError::Refused { machine: self.endpoint.to_string(), command: command.shown(), source: why.into() }
    }

    fn lost(&self, command: &Command) -> RunError {
        let why = self.seen.parting();
        let why = why.unwrap_or_else(|| "the machine does not say how the command ended".to_owned());
        RunError::Lost { machine: self.endpoint.to_string(), command: command.shown(), source: why.into() }
    }
}

/// Sends all of the input. A command that does not want it is no failure, and is seen by who listens.
async fn feed(writer: &ChannelWriteHalf<Msg>, mut input: impl AsyncRead + Unpin) -> std::io::Result<()> {
    let mut piece = vec![0; PIECE];
    let result = loop {
        match input.read(&mut piece).await {
            Ok(0) => break Ok(()),
            Ok(length) => {
                if writer.data_bytes(piece[..length].to_vec()).await.is_err() {
                    break Ok(());
                }
            }
            Err(error) => break Err(error),
        }
    };
    let _ = writer.eof().await;
    result
}
