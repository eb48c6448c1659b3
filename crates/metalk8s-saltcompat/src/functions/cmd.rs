//! `cmd`: programs, run through a shell as Salt does.

use metalk8s_engine::{State, state::Command};

use super::Function;
use crate::args::Args;

/// Where Salt would wait for ever, a command is ended after this many seconds.
const DEFAULT_TIMEOUT: u64 = 3600;

const ARGUMENTS: &[&str] = &["creates", "unless", "onlyif", "cwd", "env", "timeout", "shell"];

pub(super) const FUNCTIONS: &[Function] = &[
    Function { module: "cmd", name: "run", arguments: ARGUMENTS, build: run },
    Function { module: "cmd", name: "wait", arguments: ARGUMENTS, build: wait },
];

fn run(args: &mut Args<'_>) -> Option<State> {
    command(args, false)
}

fn wait(args: &mut Args<'_>) -> Option<State> {
    command(args, true)
}

fn command(args: &mut Args<'_>, only_on_change: bool) -> Option<State> {
    let shell = match args.path("shell") {
        Some(path) => path.display().to_string(),
        None => "/bin/sh".to_owned(),
    };
    let through_shell = |text: String| vec![shell.clone(), "-c".to_owned(), text];
    let mut unless = args.texts("unless").and_then(all_of);
    let only_if = args.texts("onlyif").and_then(all_of);
    let creates = match args.texts("creates") {
        // Several paths together are a condition of their own.
        Some(paths) if paths.len() > 1 => {
            let there =
                paths.iter().map(|path| format!("test -e {}", quoted(path))).collect::<Vec<_>>().join(" && ");
            unless = Some(match unless {
                Some(unless) => format!("{{ {there}; }} || {{ {unless}\n}}"),
                None => there,
            });
            None
        }
        _ => args.path("creates"),
    };
    let environment = args.pairs("env").unwrap_or_default();
    let timeout_seconds = args.number("timeout").unwrap_or(DEFAULT_TIMEOUT);
    Some(State::Command(Command {
        argv: through_shell(args.chunk.name.clone()),
        creates,
        unless: unless.map(through_shell),
        only_if: only_if.map(through_shell),
        only_on_change,
        environment: environment.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect(),
        directory: args.path("cwd"),
        timeout_seconds,
    }))
}

/// A command that succeeds when all of these do.
fn all_of(commands: Vec<String>) -> Option<String> {
    let mut commands = commands.into_iter();
    let first = commands.next()?;
    Some(commands.fold(first, |all, command| format!("{{ {all}\n}} && {{ {command}\n}}")))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
