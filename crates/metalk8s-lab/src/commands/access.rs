//! `./lab ssh`, `./lab kubeconfig`, `./lab logs`.

use std::{
    io::{self, IsTerminal},
    os::unix::process::CommandExt,
};

use anyhow::{Context, Result};
use metalk8s_diagnostics::{Diagnosed, Exit, Printer};
use metalk8s_lab::install;

use crate::{
    args::{Common, Kubeconfig, Logs, Ssh},
    commands,
};

pub(super) fn ssh(common: &Common, args: &Ssh) -> Result<Exit> {
    take_over(common, &args.machine, &args.command)
}

pub(super) fn logs(common: &Common, args: &Logs) -> Result<Exit> {
    let mut command = vec!["journalctl".to_owned(), "--boot".to_owned()];
    if args.follow {
        command.push("--follow".to_owned());
    } else if !io::stdout().is_terminal() {
        command.push("--no-pager".to_owned());
    }
    if let Some(unit) = &args.unit {
        command.push(format!("--unit={unit}"));
    }
    take_over(common, &args.machine, &command)
}

pub(super) fn kubeconfig(common: &Common, args: &Kubeconfig, printer: &mut Printer) -> Result<Exit> {
    let lab = commands::find(common)?;
    let text = install::kubeconfig(&lab).map_err(Diagnosed::new).context("the lab has no kubeconfig yet")?;
    let Some(path) = &args.path else {
        printer.data(&text);
        return Ok(Exit::Done);
    };
    let path = std::path::absolute(path)?;
    install::write_private(&path, &text).with_context(|| format!("could not write `{}`", path.display()))?;
    printer.data(&format!("export KUBECONFIG={}", metalk8s_lab::machine::quoted(&path.to_string_lossy())));
    Ok(Exit::Done)
}

/// This process becomes the command, so that signals, the terminal and the exit code are its own.
fn take_over(common: &Common, machine: &str, command: &[String]) -> Result<Exit> {
    let lab = commands::find(common)?;
    let machine = commands::lab(lab.machine(machine))?;
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let error = machine.interactive(terminal, command).exec();
    Err(error).context("could not start podman")
}
