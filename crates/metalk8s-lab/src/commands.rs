//! What each command does.

use anyhow::Result;
use metalk8s_diagnostics::{Diagnosed, Exit, Output, Printer, Progress, ProgressMode};
use metalk8s_lab::{Lab, LabName, lab::LabError};
use serde::Serialize;

use crate::{
    args::{Arguments, Command, Common},
    checkout,
};

mod access;
mod down;
mod list;
mod power;
mod snapshot;
mod status;
mod suite;
mod up;

/// Runs what was typed.
pub(crate) fn run(arguments: &Arguments, printer: &mut Printer) -> Result<Exit> {
    let common = &arguments.common;
    match &arguments.command {
        Command::Up(args) => up::run(common, args, printer),
        Command::Down => down::run(common, printer),
        Command::Status => status::run(common, printer),
        Command::List => list::run(common, printer),
        Command::Ssh(args) => access::ssh(common, args),
        Command::Kubeconfig(args) => access::kubeconfig(common, args, printer),
        Command::Logs(args) => access::logs(common, args),
        Command::Reboot(args) => power::reboot(common, args),
        Command::Kill(args) => power::kill(common, args),
        Command::Snapshot(args) => snapshot::take(common, args),
        Command::Restore(args) => snapshot::restore(common, args),
        Command::Suite(args) => suite::run(common, args, printer),
    }
}

fn name(common: &Common) -> Result<LabName> {
    match &common.lab {
        Some(name) => Ok(name.clone()),
        None => Ok(LabName::of_checkout(&checkout::root()?)),
    }
}

fn find(common: &Common) -> Result<Lab> {
    Ok(lab(Lab::find(&name(common)?))?)
}

/// Keeps the hints of the error.
fn lab<T>(result: Result<T, LabError>) -> Result<T, Diagnosed> {
    result.map_err(Diagnosed::new)
}

fn progress(common: &Common) -> Progress {
    Progress::new(ProgressMode::choose(common.quiet, false, common.no_progress), None)
}

/// The answer in the form that was asked for; `text` is for people.
fn answer(common: &Common, printer: &mut Printer, value: &impl Serialize, text: &str) -> Result<()> {
    match common.output {
        Output::Text => printer.data(text),
        // Every JSON document is a YAML document too.
        Output::Json | Output::Yaml => printer.json(value)?,
    }
    Ok(())
}
