//! `./lab list`.

use anyhow::Result;
use metalk8s_diagnostics::{Exit, Printer};
use metalk8s_lab::Lab;

use crate::{args::Common, commands};

pub(super) fn run(common: &Common, printer: &mut Printer) -> Result<Exit> {
    let names = commands::lab(Lab::list())?;
    if names.is_empty() {
        printer.say("There is no lab on this computer; `./lab up` makes one");
    }
    commands::answer(common, printer, &names, &names.join("\n"))?;
    Ok(Exit::Done)
}
