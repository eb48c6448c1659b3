//! `metalk8s look`.

use std::{error::Error, path::Path};

use jiff::Timestamp;
use metalk8s_diagnostics::{Exit, code_of, coded_sentence, logging, sentence};
use metalk8s_engine::ChangeSet;
use metalk8s_orchestrator::{holder, plans};
use metalk8s_saltcompat::{Formula, Minion};
use metalk8s_types::paths;
use serde_json::Map;

use super::salt_call::Here;
use crate::args::Look;

/// Compares this node with what it shall be, unless it is being changed: then it would be half of something.
pub(crate) async fn run(args: Look) -> anyhow::Result<Exit> {
    logging::daemon()?;
    if let Some(holder) = holder(Path::new(paths::RUN_LOCK)) {
        tracing::info!(holder, "this node is being changed, and is not looked at now");
        return Ok(Exit::Done);
    }
    let seen = look(&args).await;
    if let Err(error) = &seen {
        tracing::warn!(error, "this node could not be compared with what it shall be");
    }
    record(seen.as_ref().map_err(Clone::clone))?;
    Ok(Exit::Done)
}

/// Keeps what was seen, for the agent to tell.
pub(super) fn record(seen: Result<&ChangeSet, String>) -> std::io::Result<()> {
    plans::record(seen, Timestamp::now(), Path::new(paths::AGENT_DRIFT), Path::new(paths::METRICS))
}

/// An error in a line, with its code.
pub(super) fn coded(error: &(dyn Error + 'static)) -> String {
    code_of(error).at_end_of(sentence(error))
}

async fn look(args: &Look) -> Result<ChangeSet, String> {
    let here = Here::of_agent(&args.kubeconfig, &args.node).await;
    let here = here.map_err(|error| coded(error.as_ref()))?;
    let graph = here.formula(Formula::Highstate, true, &Map::new()).map_err(|error| coded(error.as_ref()))?;
    let plan =
        plans::look(&graph, &here, Path::new(paths::RUNS)).await.map_err(|error| coded_sentence(&error))?;
    Ok(plan.changes)
}
