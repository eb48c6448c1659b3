//! The `metalk8s` command, and the scripts the manual prints.
//!
//! [`args`] says what can be typed; one file below `commands` does it. This crate holds no logic: it parses,
//! calls one function, prints. It is the roof of the house and links all programs of the product.

pub mod args;
mod commands;

use std::{ffi::OsString, panic, path::Path};

use anyhow::Context;
use clap::Parser;
use metalk8s_diagnostics::{Exit, Printer, explain};

use args::{Args, Command};

/// Runs the program with these words, the first being the name it was called by.
pub fn main(words: impl IntoIterator<Item = OsString>) -> Exit {
    panic::set_hook(Box::new(|bug| {
        let line = format!("error: this is a bug: {bug}");
        let code = explain::UNEXPECTED;
        Printer::new(false).say(&format!("{}\nhint: {}", code.at_end_of(line), code.pointer()));
    }));
    let args = match Args::try_parse_from(front_door(words.into_iter().collect())) {
        Ok(args) => args,
        Err(err) => {
            // Help and version are answers and go to stdout; a reader that went away is no error.
            let _ = err.print();
            if !err.use_stderr() {
                return Exit::Done;
            }
            Printer::new(false).say(&format!("\nhint: {}", explain::WRONG_USAGE.pointer()));
            return Exit::Usage;
        }
    };
    let mut printer = Printer::new(args.quiet).with_codes();
    match run(args, &mut printer) {
        Ok(exit) => exit,
        Err(err) => {
            printer.error(err.as_ref());
            Exit::of(err.as_ref())
        }
    }
}

fn run(args: Args, printer: &mut Printer) -> anyhow::Result<Exit> {
    // What works on one state after the other, or waits most of the time, gains nothing from threads, and would
    // pay for their start and their stacks.
    let mut runtime = match args.command {
        Command::SaltCall(_) | Command::Agent(_) | Command::Look(_) => {
            tokio::runtime::Builder::new_current_thread()
        }
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    runtime.enable_all().build().context("could not begin")?.block_on(async {
        match args.command {
            Command::Bootstrap(command) => commands::bootstrap::run(command, args.quiet, printer).await,
            Command::Archive(command) => commands::archive::run(command, args.quiet, printer).await,
            Command::Backup(command) => commands::backup::run(command, args.quiet, printer).await,
            Command::Node(command) => commands::node::run(command, args.quiet, printer).await,
            Command::Certificates(command) => commands::certificates::run(command, printer).await,
            Command::Authority(command) => commands::authority::run(command, printer),
            Command::Doctor(command) => commands::doctor::run(command, printer).await,
            Command::Reset(command) => commands::reset::run(command, args.quiet, printer).await,
            Command::Run(command) => commands::run::run(command, args.quiet, printer).await,
            Command::Plan(command) => commands::plan::run(command, printer).await,
            Command::Apply(command) => commands::apply::run(command, printer).await,
            Command::Drift(command) => commands::drift::run(command, printer).await,
            Command::Explain(command) => commands::explain::run(&command, printer),
            Command::Repositories(command) => commands::repositories::run(command).await,
            Command::ApiserverProxy(command) => commands::apiserver_proxy::run(command).await,
            Command::Agent(command) => commands::agent::run(command).await,
            Command::Job(command) => commands::job::run(command).await,
            Command::Look(command) => commands::look::run(command).await,
            Command::Join(command) => commands::join::run(command, printer).await,
            Command::Conductor(command) => commands::conductor::run(command).await,
            Command::Salt(command) => commands::salt::run(*command, printer).await,
            Command::SaltApi(command) => commands::salt_api::run(command).await,
            Command::SaltRun(command) => commands::salt_run::run(command, printer).await,
            Command::SaltKey(command) => commands::salt_key::run(command, printer).await,
            Command::SaltSsh(command) => commands::salt_ssh::run(command, printer).await,
            Command::SaltCall(command) => commands::salt_call::run(command, printer).await,
        }
    })
}

/// Other names of the program, each of which is a subcommand too.
const FRONT_DOORS: [&str; 5] = ["salt", "salt-call", "salt-key", "salt-run", "salt-ssh"];

/// Called by another name than `metalk8s`, such as `salt-call`, the name is the subcommand.
fn front_door(mut words: Vec<OsString>) -> Vec<OsString> {
    let name = words.first().and_then(|word| Path::new(word).file_name()).map(ToOwned::to_owned);
    if let Some(name) = name
        && FRONT_DOORS.iter().any(|door| name == *door)
    {
        words.splice(..1, [OsString::from("metalk8s"), name]);
    }
    words
}
