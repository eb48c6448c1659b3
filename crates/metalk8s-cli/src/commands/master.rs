//! What the `salt` commands have in common.

use std::{fs::OpenOptions, path::Path};

use metalk8s_diagnostics::{Diagnosed, LogFormat, Printer, code_of_io, logging};
use metalk8s_kube::Fleet;
use metalk8s_saltcompat::output::Form;
use metalk8s_types::paths;

use crate::args::{LogLevel, SaltOutput};

/// The fleet, as the conductor sees it; on a master outside of its pod, as its administrator does.
pub(super) fn fleet() -> Fleet {
    let known = [paths::CONDUCTOR_KUBECONFIG, paths::ADMIN_KUBECONFIG];
    let readable = known.into_iter().find(|path| std::fs::File::open(Path::new(path)).is_ok());
    Fleet::lazy(readable.unwrap_or(paths::CONDUCTOR_KUBECONFIG))
}

/// Whether this machine has a kubeconfig for the fleet that this user may read.
pub(super) fn may_reach_fleet() -> bool {
    [paths::CONDUCTOR_KUBECONFIG, paths::ADMIN_KUBECONFIG]
        .iter()
        .any(|path| std::fs::File::open(path).is_ok())
}

/// How results are printed, from here on into the file that is asked for.
pub(super) fn form(output: &SaltOutput, printer: &mut Printer) -> anyhow::Result<Form> {
    if let Some(path) = &output.out_file {
        let mut options = OpenOptions::new();
        options.create(true).write(true).append(output.out_file_append).truncate(!output.out_file_append);
        let file = options.open(path).map_err(|error| {
            Diagnosed::with_code(code_of_io(&error), format!("could not write `{}`: {error}", path.display()))
        })?;
        printer.data_into(file);
    }
    Ok(output.form(printer.paint()))
}

/// Shows log lines on stderr as `-l` asks.
pub(super) fn begin_log(level: LogLevel) -> anyhow::Result<()> {
    if let LogLevel::Verbosity(verbosity) = level {
        logging::command(None, LogFormat::Text, verbosity)?;
    }
    Ok(())
}
