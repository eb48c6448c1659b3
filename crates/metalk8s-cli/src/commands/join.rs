//! `metalk8s join`.

use std::{error::Error, fmt, io::Read, path::Path, time::Duration};

use anyhow::Context;
use metalk8s_diagnostics::{Diagnose, DiagnoseExt, Diagnosed, Exit, LogFormat, Printer, logging};
use metalk8s_host::Host;
use metalk8s_orchestrator::{
    LockError, RunLock,
    join::{self, Invitation},
    lock_within,
};
use metalk8s_types::paths;
use serde::de::DeserializeOwned;

use super::procedure::must_be_root;
use crate::args::{Join, JoinCommand};

/// The largest input that is read, in bytes.
const LIMIT: u64 = 16 << 20;

/// How long a former call may take to its end; the conductor has more patience with a call.
const FORMER_CALL: Duration = Duration::from_secs(300);

/// Does one of the steps.
pub(crate) async fn run(args: Join, printer: &mut Printer) -> anyhow::Result<Exit> {
    must_be_root()?;
    logging::command(None, LogFormat::Text, 0)?;
    let grains = || Host::new().collect_grains().context("could not look at this machine");
    match args.command {
        JoinCommand::Examine => {
            printer.json(&join::examine(&input::<Invitation>()?, &grains()?).await)?;
        }
        JoinCommand::Prepare => {
            let _lock = alone().await.diagnose()?;
            printer.json(&join::prepare(&input::<Invitation>()?, &grains()?).await.map_err(explained)?)?;
        }
        JoinCommand::Finish => {
            let _lock = alone().await.diagnose()?;
            join::finish(&input()?).await.map_err(explained)?;
            printer.json(&serde_json::json!({}))?;
        }
    }
    Ok(Exit::Done)
}

/// A call whose conductor was killed goes on, and the next conductor calls again.
async fn alone() -> Result<RunLock, LockError> {
    lock_within(Path::new(paths::RUN_LOCK), join::RUN, FORMER_CALL).await
}

fn input<T: DeserializeOwned>() -> anyhow::Result<T> {
    let mut bytes = Vec::new();
    std::io::stdin().take(LIMIT).read_to_end(&mut bytes).context("could not read the input")?;
    serde_json::from_slice(&bytes).context("the input is not what the conductor sends")
}

/// An error with the states that failed, which it only counts itself.
#[derive(Debug)]
struct Explained {
    error: join::JoinError,
    states: Box<dyn Error + Send + Sync>,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Explained {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.states.as_ref())
    }
}

fn explained(error: join::JoinError) -> Diagnosed {
    use metalk8s_orchestrator::stages::{RunError, failures};
    match (&error, error.code()) {
        (join::JoinError::Run(RunError::Stage { report, .. }), Some(code)) => {
            let states = failures(report).join("\n").into();
            Diagnosed::with_code(code, Explained { error, states })
        }
        _ => Diagnosed::new(error),
    }
}

#[cfg(test)]
mod tests {
    use metalk8s_diagnostics::{code_of, explain};
    use metalk8s_engine::Report;
    use metalk8s_orchestrator::stages::RunError;

    use super::*;

    #[test]
    fn what_stopped_a_step_keeps_its_code() {
        let report = Box::new(Report::new(Vec::new()));
        let stage =
            RunError::Stage { title: "Installing", failed: 1, states: 7, code: explain::DISK_FULL, report };
        let told = anyhow::Error::from(explained(stage.into()));
        assert_eq!(code_of(told.as_ref()), explain::DISK_FULL);
        assert_eq!(told.to_string(), "Installing: 1 of 7 states failed");
    }
}
