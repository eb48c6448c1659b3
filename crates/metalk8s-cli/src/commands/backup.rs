//! `metalk8s backup`, documented as `backup.sh`.

use std::path::Path;

use metalk8s_diagnostics::{DiagnoseExt, Exit, Output, Printer, ProgressMode};
use metalk8s_orchestrator::{
    backup::{Made, Place, make},
    lock,
};
use metalk8s_types::{VERSION, paths};

use super::{
    procedure::{begin, interrupted, must_be_root},
    told_to_stop,
};
use crate::args;

/// The name of its runs, in the log and for others that want the same lock.
const RUN: &str = "backup";

/// Makes one, and tells where it is.
pub(crate) async fn run(args: args::Backup, quiet: bool, printer: &mut Printer) -> anyhow::Result<Exit> {
    must_be_root()?;
    let mode = ProgressMode::choose(quiet, args.telling.verbose, args.telling.no_progress);
    let progress = begin(RUN, &args.log_file, mode, args.telling.verbose, printer)?;
    // Whoever deploys would change what is read.
    let _lock = lock(Path::new(paths::RUN_LOCK), RUN).diagnose()?;
    let place = match &args.backup_file {
        Some(file) => Place::File(file),
        None => Place::Folder(Path::new(paths::STATE_DIR)),
    };
    let step = progress.step("Making a backup");
    let made = tokio::select! {
        made = make(place, VERSION) => made.diagnose()?,
        _ = told_to_stop() => return Ok(interrupted(printer)),
    };
    step.done();
    match args.telling.output {
        Output::Json => printer.json(&made)?,
        Output::Yaml => printer.data(&serde_saphyr::to_string(&made)?),
        Output::Text => printer.say(&words(&made)),
    }
    Ok(Exit::Done)
}

fn words(made: &Made) -> String {
    format!(
        "\nBackup: {} ({} KiB), with {} files and {} KiB of etcd. Keep a copy on another machine.",
        made.file.display(),
        made.bytes.div_ceil(1 << 10),
        made.files,
        made.snapshot_bytes.div_ceil(1 << 10)
    )
}
