//! Sessions with a real SSH server inside this process, which runs what it is told with a real shell.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod connect;
mod keys;
mod run;
mod server;
mod upload;

use std::time::Duration;

use metalk8s_ssh::{Command, Options};

/// Far longer than any of these takes.
const LONG: Duration = Duration::from_secs(120);

fn options() -> Options {
    Options { connect_timeout: LONG, ..Options::default() }
}

fn shell(script: &str) -> Command {
    Command::new("/bin/sh", LONG).args(["-c", script])
}

/// An error and its causes, as people see them.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
