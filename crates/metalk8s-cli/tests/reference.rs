//! The page of commands, `docs/reference/cli.md`, is what the command line says of itself.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{env, fmt::Write, fs, path::Path};

use clap::{Arg, Command, CommandFactory};
use metalk8s_cli::args::Args;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/cli.md");
/// Set to anything, the page is written anew, as the build chain does.
const WRITE: &str = "METALK8S_WRITE";

const HEAD: &str = "\
<!-- Made from crates/metalk8s-cli/src/args.rs by `./doit.sh codegen:cli`. -->

# Commands

`metalk8s` is one program with many commands; on a node it is `/usr/bin/metalk8s`, in an archive `bin/metalk8s`.
`--help` behind any command shows what stands here.
The options of `metalk8s` itself may stand behind every command.

Other names lead to it:

| what is typed | what is run |
| --- | --- |
| `bootstrap.sh` in an archive | `metalk8s bootstrap --archive` with the folder that it lies in, and the options that it was given |
| `iso-manager.sh` in an archive | `metalk8s archive add` with the options that it was given |
| `backup.sh` in an archive | `metalk8s backup` with the options that it was given |
| `salt-call` | `metalk8s salt-call`, on every node |
| `salt`, `salt-run`, `salt-key`, `salt-ssh` | `metalk8s salt` and so on, in the container `salt-master` |
";

#[test]
fn the_page_of_commands_says_what_the_command_line_says() {
    let mut root = Args::command().disable_help_subcommand(true);
    root.build();
    let mut page = HEAD.to_owned();
    describe(&root, &mut page);
    if env::var_os(WRITE).is_some() {
        fs::write(PAGE, &page).unwrap();
    }
    let found = fs::read_to_string(Path::new(PAGE)).unwrap();
    assert!(found == page, "docs/reference/cli.md is old; `./doit.sh codegen:cli` writes it anew:\n{page}");
}

/// A command with its arguments, then those below it.
fn describe(command: &Command, page: &mut String) {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let about = command.get_long_about().or(command.get_about()).unwrap().to_string();
    // One sentence per line.
    let about = about.replace('\n', " ").replace("  ", "\n\n").replace(". ", ".\n");
    writeln!(page, "\n## {name}\n\n{about}\n\n```text\n{usage}\n```").unwrap();
    // What every command takes stands with the first one.
    let is_new = |arg: &&Arg| {
        let is_help = matches!(arg.get_id().as_str(), "help" | "version");
        !arg.is_hide_set() && !is_help && (!arg.is_global_set() || name == "metalk8s")
    };
    let arguments: Vec<&Arg> = command.get_arguments().filter(is_new).collect();
    if !arguments.is_empty() {
        page.push_str("\n| argument | what it says |\n| --- | --- |\n");
    }
    for argument in arguments {
        writeln!(page, "| {} | {} |", words(argument), meaning(argument)).unwrap();
    }
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        describe(below, page);
    }
}

/// What is typed: `-l`, `--log-file FILE`.
fn words(argument: &Arg) -> String {
    let names: Vec<&str> = argument.get_value_names().unwrap_or_default().iter().map(AsRef::as_ref).collect();
    let takes_value = argument.get_action().takes_values() && !argument.is_positional();
    // A switch that a variable of the environment may set takes a value for clap only.
    let takes_value = takes_value && argument.get_num_args().is_none_or(|range| range.max_values() > 0);
    let value = if takes_value { format!(" {}", names.join(" ")) } else { String::new() };
    match (argument.get_short(), argument.get_long()) {
        (Some(short), Some(long)) => code(&[format!("-{short}"), format!("--{long}{value}")]),
        (None, Some(long)) => code(&[format!("--{long}{value}")]),
        (Some(short), None) => code(&[format!("-{short}{value}")]),
        (None, None) => code(&[names.join(" ")]),
    }
}

fn code(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{}`", word.replace('|', "\\|"))).collect();
    words.join(", ")
}

fn meaning(argument: &Arg) -> String {
    let mut text = argument.get_help().map(ToString::to_string).unwrap_or_default().replace('\n', " ");
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !defaults.is_empty() && argument.get_num_args().is_none_or(|range| range.max_values() > 0) {
        write!(text, "; default `{}`", defaults.join(" ")).unwrap();
    }
    if let Some(variable) = argument.get_env() {
        write!(text, "; also by `{}`", variable.to_string_lossy()).unwrap();
    }
    text.replace('|', "\\|")
}
