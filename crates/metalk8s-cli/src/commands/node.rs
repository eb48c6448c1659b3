//! `metalk8s node`.

use metalk8s_diagnostics::{DiagnoseExt, Diagnosed, Exit, Output, Printer, Progress, ProgressMode, explain};
use metalk8s_kube::Fleet;
use metalk8s_orchestrator::{
    nodes,
    runs::{
        Trial,
        fleet::{self as fleet_runs, RunEvent},
    },
};
use metalk8s_types::{
    VERSION,
    fleet::{Procedure, ProcedureName},
};
use serde_json::json;

use super::{
    confirm::confirm,
    master::fleet,
    run::{Watched, watch},
};
use crate::args::{Node, NodeCommand, NodeDeploy, NodeRemove};

/// Lists nodes, deploys them, or lets one go.
pub(crate) async fn run(args: Node, quiet: bool, printer: &mut Printer) -> anyhow::Result<Exit> {
    match args.command {
        NodeCommand::List { output } => {
            let nodes = nodes::list(&fleet()).await.diagnose()?;
            match output {
                Output::Text => printer.data(nodes::text(&nodes, printer.paint()).trim_end()),
                Output::Json => printer.json(&nodes)?,
                Output::Yaml => printer.data(&serde_saphyr::to_string(&nodes)?),
            }
            Ok(Exit::Done)
        }
        NodeCommand::Deploy(deploy) => run_deployments(deploy, &fleet(), quiet, printer).await,
        NodeCommand::Remove(remove) => run_removal(remove, &fleet(), quiet, printer).await,
    }
}

async fn run_deployments(
    args: NodeDeploy,
    fleet: &Fleet,
    quiet: bool,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let procedures = args.nodes.iter().map(|node| Procedure {
        skip_draining: args.skip_draining,
        drain_seconds: Some(args.drain_timeout),
        trial: args.dry_run,
        ..Procedure::new(ProcedureName::DeployNode, node)
    });
    let progress = Progress::new(ProgressMode::choose(quiet, false, args.no_progress), None);
    let version = &args.destination_version;
    if args.dry_run {
        let wanted = Foreseen { output: args.output, exit_code: args.exit_code };
        return wanted.show(procedures, version, fleet, &progress, printer).await;
    }
    run_procedures(procedures, version, args.output, fleet, &progress, printer).await
}

async fn run_removal(
    args: NodeRemove,
    fleet: &Fleet,
    quiet: bool,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    if !nodes::is_known(fleet, &args.node).await.diagnose()? {
        printer.say(&format!("There is no node `{}`: nothing to do.", args.node));
        return Ok(Exit::Done);
    }
    let procedure = Procedure {
        drain_seconds: Some(args.drain_timeout),
        force: args.force,
        trial: args.dry_run,
        ..Procedure::new(ProcedureName::RemoveNode, &args.node)
    };
    let progress = Progress::new(ProgressMode::choose(quiet, false, args.no_progress), None);
    if args.dry_run {
        let wanted = Foreseen { output: args.output, exit_code: args.exit_code };
        return wanted.show([procedure], VERSION, fleet, &progress, printer).await;
    }
    let (node, lost) =
        (&args.node, if args.force { ", without its machine where that is silent" } else { "" });
    let question =
        format!("`{node}` leaves the cluster for good{lost}. Its pods go elsewhere, its local data is lost.");
    if !args.yes {
        printer.say(&question);
    }
    if !confirm("Remove it?", args.yes)? {
        return Ok(Exit::Failed);
    }
    run_procedures([procedure], VERSION, args.output, fleet, &progress, printer).await
}

/// What procedures would do, shown instead of done.
struct Foreseen {
    output: Output,
    exit_code: bool,
}

impl Foreseen {
    async fn show(
        &self,
        procedures: impl IntoIterator<Item = Procedure>,
        version: &str,
        fleet: &Fleet,
        progress: &Progress,
        printer: &mut Printer,
    ) -> anyhow::Result<Exit> {
        let asked = procedures.into_iter().map(|procedure| trial(fleet, procedure, version, progress));
        let trials = futures::future::try_join_all(asked).await?;
        match self.output {
            Output::Text => {
                for trial in &trials {
                    printer.data(trial.text(printer.paint()).trim_end());
                }
            }
            Output::Json => printer.json(&trials)?,
            Output::Yaml => printer.data(&serde_saphyr::to_string(&trials)?),
        }
        Ok(match trials.iter().all(|trial| trial.failure.is_empty()) {
            false => Exit::Failed,
            true if self.exit_code && trials.iter().any(|trial| trial.changes() > 0) => Exit::Pending,
            true => Exit::Done,
        })
    }
}

async fn trial(
    fleet: &Fleet,
    procedure: Procedure,
    version: &str,
    progress: &Progress,
) -> anyhow::Result<Trial> {
    let node = procedure.node.clone();
    let looking = progress.step(format!("{node}: Looking at what would be done"));
    let run = fleet_runs::ask(fleet, procedure, version).await.diagnose()?;
    let mut followed = fleet_runs::follow(fleet, &run);
    while let Some(event) = followed.next().await {
        match event {
            RunEvent::Over(status) => {
                looking.done();
                return Ok(Trial::new(node, &status));
            }
            RunEvent::Blind(why) => tracing::warn!(error = why, "the run cannot be seen, trying again"),
            RunEvent::Gone => break,
            RunEvent::Begun(_) | RunEvent::Ended(_) | RunEvent::Waits(_) => {}
        }
    }
    looking.fail(None);
    let error = format!("somebody deleted the run {run}, which only looked");
    Err(Diagnosed::with_code(explain::RUN_UNKNOWN, error).into())
}

/// Asks for procedures, each over another node, and shows them go on side by side.
async fn run_procedures(
    procedures: impl IntoIterator<Item = Procedure>,
    version: &str,
    output: Output,
    fleet: &Fleet,
    progress: &Progress,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let mut runs = Vec::new();
    for procedure in procedures {
        let node = procedure.node.clone();
        runs.push((node, fleet_runs::ask(fleet, procedure, version).await.diagnose()?));
    }
    let watched =
        futures::future::join_all(runs.iter().map(|(node, run)| watch(fleet, run, Some(node), progress)));
    let ended = tokio::select! {
        ended = watched => ended,
        _ = super::told_to_stop() => {
            for (node, run) in &runs {
                printer.say(&format!("The run over {node} goes on; `metalk8s run watch {run}` shows it."));
            }
            return Ok(Exit::Interrupted);
        }
    };
    let all_done = ended.iter().all(|watched| *watched == Watched::Done);
    let data: Vec<_> = runs
        .iter()
        .zip(&ended)
        .map(|((node, run), watched)| json!({"node": node, "run": run, "done": *watched == Watched::Done}))
        .collect();
    match output {
        Output::Text => {}
        Output::Json => printer.json(&data)?,
        Output::Yaml => printer.data(&serde_saphyr::to_string(&data)?),
    }
    Ok(if all_done { Exit::Done } else { Exit::Failed })
}
