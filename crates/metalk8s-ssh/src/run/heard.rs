//! What is heard of a command while it runs.

use russh::{ChannelMsg, Sig};

use crate::{Command, End, Output, Ran, words::shown};

/// Lines are told in pieces of at most this many bytes.
const LONGEST_LINE: usize = 4096;

/// The number of the error output in the protocol (RFC 4254, 5.2).
const STDERR: u32 = 1;

pub(super) struct Heard<'a> {
    command: &'a Command,
    /// How much more is kept of the error output.
    before: usize,
    end: Option<End>,
    stdout: Output,
    stderr: Output,
    line: Vec<u8>,
}

impl<'a> Heard<'a> {
    pub(super) fn new(command: &'a Command, before: usize) -> Self {
        let (stdout, stderr) = (Output::default(), Output::default());
        Self { command, before, end: None, stdout, stderr, line: Vec::new() }
    }

    pub(super) fn hear(&mut self, message: ChannelMsg) {
        match message {
            ChannelMsg::Data { data } => {
                self.tell(&data);
                self.stdout.take(&data, self.command.kept);
            }
            ChannelMsg::ExtendedData { data, ext: STDERR } => {
                self.stderr.take(&data, self.command.kept.saturating_add(self.before));
            }
            ChannelMsg::ExitStatus { exit_status } => self.end = Some(End::Status(exit_status)),
            ChannelMsg::ExitSignal { signal_name, .. } => {
                self.end = Some(End::Signal(match signal_name {
                    Sig::Custom(name) => shown(name.as_bytes(), 20),
                    known => format!("{known:?}"),
                }));
            }
            _ => {}
        }
    }

    /// What it was, where the machine has told how it ended.
    pub(super) fn end(mut self) -> Option<Ran> {
        self.tell_line();
        Some(Ran { end: self.end?, stdout: self.stdout, stderr: self.stderr })
    }

    fn tell(&mut self, data: &[u8]) {
        if self.command.on_line.is_none() {
            return;
        }
        for byte in data {
            if *byte == b'\n' || self.line.len() == LONGEST_LINE {
                self.tell_line();
            }
            if *byte != b'\n' {
                self.line.push(*byte);
            }
        }
    }

    fn tell_line(&mut self) {
        if let Some(tell) = &self.command.on_line
            && !self.line.is_empty()
        {
            tell(&shown(&self.line, LONGEST_LINE));
        }
        self.line.clear();
    }
}
