//! `cmd`: programs, run through a shell as Salt does.

use std::{collections::BTreeMap, path::PathBuf};

use metalk8s_engine::{State, state::Command};

use super::Function;
use crate::args::Args;

const ARGUMENTS: &[&str] = &["cwd", "env", "timeout", "shell", "runas"];

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        module: "cmd",
        name: "run",
        does: "runs a command through a shell, each time it is applied unless conditions speak against it",
        arguments: ARGUMENTS,
        build: run,
    },
    Function {
        module: "cmd",
        name: "wait",
        does: "runs a command through a shell, only after a watched state changed",
        arguments: ARGUMENTS,
        build: wait,
    },
];

/// What surrounds a command.
pub(crate) struct Surroundings {
    pub(crate) shell: String,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) timeout_seconds: Option<u64>,
    /// The user that runs it.
    pub(crate) user: Option<String>,
}

impl Surroundings {
    /// Those that the arguments of a command say.
    pub(crate) fn of(args: &mut Args<'_>) -> Self {
        let environment = args.pairs("env").unwrap_or_default().into_iter();
        Self {
            shell: args.path("shell").map_or_else(usual_shell, |path| path.display().to_string()),
            directory: args.path("cwd"),
            environment: environment.map(|(name, value)| (name, value.unwrap_or_default())).collect(),
            timeout_seconds: args.number("timeout"),
            user: args.text("runas"),
        }
    }

    pub(crate) fn usual() -> Self {
        Self {
            shell: usual_shell(),
            directory: None,
            environment: BTreeMap::new(),
            timeout_seconds: None,
            user: None,
        }
    }

    /// The words that run a text through the shell; runuser(1) is part of every system that has su(1).
    pub(crate) fn through_shell(&self, text: String) -> Vec<String> {
        let shell = [self.shell.clone(), "-c".to_owned(), text];
        match &self.user {
            Some(user) => {
                let words = ["runuser".to_owned(), "--user".to_owned(), user.clone(), "--".to_owned()];
                words.into_iter().chain(shell).collect()
            }
            None => shell.into(),
        }
    }

    /// A command in these surroundings.
    pub(crate) fn command(self, argv: Vec<String>) -> Command {
        let Self { shell: _, directory, environment, timeout_seconds, user: _ } = self;
        let command = Command::new(argv);
        // Where Salt would wait for ever, a command is ended.
        let timeout_seconds = timeout_seconds.unwrap_or(command.timeout_seconds);
        Command { directory, environment, timeout_seconds, ..command }
    }
}

fn usual_shell() -> String {
    "/bin/sh".to_owned()
}

fn run(args: &mut Args<'_>) -> Option<State> {
    Some(State::Command(command(args)))
}

fn wait(args: &mut Args<'_>) -> Option<State> {
    Some(State::Command(Command { only_on_change: true, ..command(args) }))
}

fn command(args: &mut Args<'_>) -> Command {
    let surroundings = Surroundings::of(args);
    let argv = surroundings.through_shell(args.chunk.name.clone());
    surroundings.command(argv)
}
