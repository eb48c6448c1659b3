//! `metalk8s node`.

use metalk8s_diagnostics::{Exit, Output, Printer, Progress, ProgressMode};
use metalk8s_kube::Fleet;
use metalk8s_orchestrator::{nodes, runs::fleet as fleet_runs};
use metalk8s_types::fleet::{Procedure, ProcedureName};
use serde_json::json;

use super::{
    master::fleet,
    run::{Watched, watch},
};
use crate::args::{Node, NodeCommand, NodeDeploy};

/// Lists or deploys nodes.
pub(crate) async fn run(args: Node, quiet: bool, printer: &mut Printer) -> anyhow::Result<Exit> {
    match args.command {
        NodeCommand::List { output } => {
            let nodes = nodes::list(&fleet()).await?;
            match output {
                Output::Text => printer.data(nodes::text(&nodes, printer.paint()).trim_end()),
                Output::Json => printer.json(&nodes)?,
                Output::Yaml => printer.data(&serde_saphyr::to_string(&nodes)?),
            }
            Ok(Exit::Done)
        }
        NodeCommand::Deploy(deploy) => run_deployments(deploy, &fleet(), quiet, printer).await,
    }
}

async fn run_deployments(
    args: NodeDeploy,
    fleet: &Fleet,
    quiet: bool,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let progress = Progress::new(ProgressMode::choose(quiet, false, args.no_progress), None);
    let mut runs = Vec::new();
    for node in &args.nodes {
        let procedure = Procedure {
            name: ProcedureName::DeployNode,
            node: node.clone(),
            skip_draining: args.skip_draining,
        };
        runs.push((node.clone(), fleet_runs::ask(fleet, procedure, &args.destination_version).await?));
    }
    let watched =
        futures::future::join_all(runs.iter().map(|(node, run)| watch(fleet, run, Some(node), &progress)));
    let ended = tokio::select! {
        ended = watched => ended,
        _ = super::told_to_stop() => {
            for (node, run) in &runs {
                printer.say(&format!("The deployment of {node} goes on; `metalk8s run watch {run}` shows it."));
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
    match args.output {
        Output::Text => {}
        Output::Json => printer.json(&data)?,
        Output::Yaml => printer.data(&serde_saphyr::to_string(&data)?),
    }
    Ok(if all_done { Exit::Done } else { Exit::Failed })
}
