//! A machine that lets us in and then says what it likes of a command: what is heard is what was said, up to the
//! bound, the end is the last that was told, and lines are told without control characters. Where it does not come to
//! an end the command is lost, with the machine's last words. Shared with the fuzz target `ssh_session`.
//!
//! A case is what the machine says, in pieces between bytes 0x1e. The first byte of a piece is its kind, see [`Said`];
//! the first piece is `r` for root and anything else for a user of `sudo`.

use std::{
    mem,
    sync::{Arc, Mutex},
    time::Duration,
};

use metalk8s_ssh::{Command, End, Output, Ran, RunError, Session};
use russh::{
    Channel, ChannelId, Disconnect, Sig,
    server::{self, Auth, ChannelOpenHandle, Msg, VerifiedPublicKey},
};
use tokio::io::duplex;

use crate::wire::{LONGEST, endpoint, key, options, run, told};

/// How much is kept of each output.
const KEPT: usize = 64;
/// How much `sudo` may say before the command begins.
const BEFORE: usize = 4096;
/// What the command of a user of `sudo` says first.
const BEGUN: &[u8] = b"metalk8s: sudo lets this through\n";
/// The most of one line that is told at once.
const LONGEST_LINE: usize = 4096;

/// A piece of what the machine says.
#[derive(Debug, Clone)]
enum Said {
    /// `o`: output.
    Out(Vec<u8>),
    /// `e`: error output.
    Err(Vec<u8>),
    /// `x`: another kind of output, which nobody knows.
    Other(Vec<u8>),
    /// `s`: the command ended with this status.
    Status(u32),
    /// `k`: the command was ended by this signal.
    Signal(String),
    /// `y`: the command is being run.
    Yes,
    /// `n`: no command is run. Only before that was said.
    No,
    /// `f`: no more output comes.
    Eof,
    /// `w`: the machine wants a session on our side.
    WantsIn,
    /// `c`: the conversation is over.
    Close,
    /// `d`: the connection is over, for this reason.
    Farewell(String),
}

impl Said {
    fn parse(piece: &[u8]) -> Option<Self> {
        let (kind, rest) = piece.split_first()?;
        let text = || String::from_utf8_lossy(rest).into_owned();
        Some(match kind {
            b'e' => Self::Err(rest.to_vec()),
            b'x' => Self::Other(rest.to_vec()),
            b's' => Self::Status(str::from_utf8(rest).ok().and_then(|text| text.parse().ok()).unwrap_or(1)),
            b'k' => Self::Signal(text()),
            b'y' => Self::Yes,
            b'n' => Self::No,
            b'f' => Self::Eof,
            b'w' => Self::WantsIn,
            b'c' => Self::Close,
            b'd' => Self::Farewell(text()),
            _ => Self::Out(rest.to_vec()),
        })
    }
}

pub(crate) fn check(bytes: &[u8]) {
    let mut pieces = bytes.split(|byte| *byte == 0x1e);
    let sudo = pieces.next() != Some(b"r");
    let said: Vec<Said> = pieces.filter_map(Said::parse).collect();
    let heard = Heard::of(&said);
    let (outcome, lines) = run(converse(sudo, said));
    check_outcome(sudo, &heard, outcome);
    let most = 1 + heard.stdout.len() / LONGEST_LINE + heard.stdout.iter().filter(|b| **b == b'\n').count();
    assert!(lines.len() <= most, "{} lines of {most}", lines.len());
    for line in lines {
        assert!(!line.contains(char::is_control), "{line:?}");
        // What is no UTF-8 is told as a character of three bytes.
        assert!(line.len() <= 3 * LONGEST_LINE, "{} bytes in a line", line.len());
    }
}

/// What is to be heard.
#[derive(Default)]
struct Heard {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    end: Option<End>,
    is_answered: bool,
    is_refused: bool,
    is_closed: bool,
}

impl Heard {
    fn of(said: &[Said]) -> Self {
        let mut heard = Self::default();
        for piece in said {
            match piece {
                Said::Out(bytes) => heard.stdout.extend(bytes),
                Said::Err(bytes) => heard.stderr.extend(bytes),
                Said::Status(status) => heard.end = Some(End::Status(*status)),
                Said::Signal(name) => heard.end = Some(End::Signal(name.clone())),
                Said::Yes => heard.is_answered = true,
                Said::No if !heard.is_answered => heard.is_refused = true,
                Said::Close => heard.is_closed = true,
                Said::Other(_) | Said::No | Said::Eof | Said::WantsIn | Said::Farewell(_) => {}
            }
            if heard.is_refused || heard.is_closed || matches!(piece, Said::Farewell(_)) {
                break;
            }
        }
        heard
    }
}

fn check_outcome(sudo: bool, heard: &Heard, outcome: Result<Ran, RunError>) {
    let told = outcome.as_ref().err().map(|error| told(error)).unwrap_or_default();
    if heard.is_refused {
        assert!(matches!(outcome, Err(RunError::Refused { .. })), "{outcome:?}");
        return;
    }
    let Some(end) = heard.end.as_ref().filter(|_| heard.is_closed) else {
        assert!(matches!(outcome, Err(RunError::Lost { .. })), "{outcome:?}");
        // Its last words are told, unless it closed the conversation before them; other words would mean that what
        // reads has panicked.
        assert!(heard.is_closed || told.contains("the machine says"), "{told}");
        return;
    };
    let begun = heard.stderr.windows(BEGUN.len()).position(|window| window == BEGUN);
    let begun = begun.map(|place| place + BEGUN.len()).filter(|place| *place <= KEPT + BEFORE);
    match outcome {
        Ok(ran) => {
            let begun = if sudo { begun.expect("it has begun") } else { 0 };
            check_end(end, &ran.end);
            check_output(&heard.stdout, &ran.stdout, true);
            // Much before the command leaves less room for what it says itself.
            check_output(&heard.stderr[begun..], &ran.stderr, !sudo);
        }
        Err(RunError::SudoMissing { .. }) => {
            assert!(sudo && begun.is_none() && *end == End::Status(127), "{told}");
        }
        Err(RunError::SudoRefused { .. }) => {
            assert!(sudo && begun.is_none() && *end != End::Status(127), "{told}");
        }
        Err(error) => panic!("{error:?}"),
    }
}

fn check_end(said: &End, heard: &End) {
    match (said, heard) {
        (End::Signal(_), End::Signal(name)) => {
            assert!(!name.contains(char::is_control) && name.chars().count() <= 21, "{name:?}");
        }
        _ => assert_eq!(said, heard),
    }
}

/// The first of what was said, and how much is missing.
fn check_output(said: &[u8], heard: &Output, is_full: bool) {
    assert!(said.starts_with(&heard.bytes), "{heard:?}");
    assert!(heard.bytes.len() <= KEPT, "{heard:?}");
    assert_eq!(heard.bytes.len() as u64 + heard.dropped, said.len() as u64);
    assert!(!is_full || heard.bytes.len() == said.len().min(KEPT), "{heard:?}");
}

/// Runs a command on a machine that says this; what comes of it, and the lines that were told meanwhile.
async fn converse(sudo: bool, said: Vec<Said>) -> (Result<Ran, RunError>, Vec<String>) {
    let (near, far) = duplex(64 * 1024);
    let config = server::Config {
        keys: vec![key()],
        auth_rejection_time: Duration::ZERO,
        ..server::Config::default()
    };
    tokio::spawn(async move {
        if let Ok(session) = server::run_stream(Arc::new(config), far, Machine { said }).await {
            // It ends when we go, whatever comes of it.
            let _ = session.await;
        }
    });
    let session = Session::over(near, &endpoint(sudo), None, &options()).await.expect("it lets everybody in");
    let lines = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&lines);
    let command = Command::new("true", LONGEST)
        .keep(KEPT)
        .on_line(move |line| told.lock().expect("no line panics").push(line.to_owned()));
    let outcome = session.run(&command).await;
    let lines = mem::take(&mut *lines.lock().expect("no line panics"));
    (outcome, lines)
}

struct Machine {
    said: Vec<Said>,
}

impl server::Handler for Machine {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _: &[u8],
        session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        let mut farewell = String::new();
        for piece in mem::take(&mut self.said) {
            match piece {
                Said::Out(bytes) => session.data(channel, bytes)?,
                Said::Err(bytes) => session.extended_data(channel, 1, bytes)?,
                Said::Other(bytes) => session.extended_data(channel, 2, bytes)?,
                Said::Status(status) => session.exit_status_request(channel, status)?,
                Said::Signal(name) => {
                    session.exit_signal_request(channel, Sig::Custom(name), false, "", "")?;
                }
                Said::Yes => session.channel_success(channel)?,
                Said::No => session.channel_failure(channel)?,
                Said::Eof => session.eof(channel)?,
                Said::WantsIn => {
                    session.channel_open_session()?;
                }
                Said::Close => {
                    session.close(channel)?;
                    break;
                }
                Said::Farewell(words) => {
                    farewell = words;
                    break;
                }
            }
        }
        session.disconnect(Disconnect::ByApplication, &farewell, "")
    }
}
