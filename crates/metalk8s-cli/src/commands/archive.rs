//! `metalk8s archive`.

mod add;
mod verify;

use metalk8s_diagnostics::{Exit, Printer};

use crate::args::{Archive, ArchiveCommand};

/// Does what is asked with archives.
pub(crate) async fn run(args: Archive, quiet: bool, printer: &mut Printer) -> anyhow::Result<Exit> {
    match args.command {
        ArchiveCommand::Add(command) => add::run(command, quiet, printer).await,
        ArchiveCommand::Verify(command) => verify::run(command, printer),
    }
}
