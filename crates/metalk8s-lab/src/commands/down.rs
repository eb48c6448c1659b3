//! `./lab down`.

use anyhow::Result;
use metalk8s_diagnostics::{Exit, Printer};
use metalk8s_lab::Lab;

use crate::{args::Common, commands};

pub(super) fn run(common: &Common, printer: &mut Printer) -> Result<Exit> {
    let name = commands::name(common)?;
    let progress = commands::progress(common);
    let step = progress.step(format!("Removing the lab {name}"));
    let removed = commands::lab(Lab::down(&name, &progress))?;
    step.done();
    let text = match removed.machines.len() + removed.networks.len() + removed.volumes.len() {
        0 => format!("There was no lab {name}"),
        _ => format!(
            "Removed {} machines, {} networks, {} volumes; the machine image stays in the cache",
            removed.machines.len(),
            removed.networks.len(),
            removed.volumes.len()
        ),
    };
    commands::answer(common, printer, &removed, &text)?;
    Ok(Exit::Done)
}
