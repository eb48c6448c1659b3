//! `metalk8s plan`.

use std::time::Duration;

use metalk8s_diagnostics::{DiagnoseExt, Diagnosed, Exit, Output, Printer, colours_wanted, explain};
use metalk8s_kube::Fleet;
use metalk8s_orchestrator::plans::{self, Asked, PlanFile, Verdict};

use super::master::fleet;
use crate::args::{Asking, Plan};

/// A node did not answer.
pub(super) const SILENT: Exit = Exit::Status(4);

/// Shows what would change, and keeps it.
pub(crate) async fn run(args: Plan, printer: &mut Printer) -> anyhow::Result<Exit> {
    let fleet = fleet();
    let asked = ask(&fleet, &args.asking).await?;
    if let Some(path) = &args.out {
        let plan = PlanFile::new(cluster(&fleet).await?, asked.plans.clone());
        plan.write(path).diagnose()?;
    }
    match args.asking.format {
        Output::Text => {
            let text = plans::plan_text(&asked, printer.paint(), colours_wanted(&std::io::stdout()));
            printer.data(text.trim_end());
        }
        Output::Json => printer.json(&asked)?,
        Output::Yaml => printer.data(&serde_saphyr::to_string(&asked)?),
    }
    if let Some(path) = &args.out {
        if !asked.silent.is_empty() {
            printer.warn("the plan says nothing of nodes that were silent");
        }
        printer.say(&format!("`metalk8s apply {}` does exactly this.", path.display()));
    }
    Ok(match Verdict::of(&asked) {
        Verdict::AsWished | Verdict::Drifted if asked.silent.is_empty() => Exit::Done,
        Verdict::AsWished | Verdict::Drifted | Verdict::Incomplete => SILENT,
    })
}

/// Asks the nodes.
pub(super) async fn ask(fleet: &Fleet, asking: &Asking) -> anyhow::Result<Asked> {
    let patience = Duration::from_secs(asking.timeout);
    Ok(plans::ask(fleet, &asking.nodes, patience).await.diagnose()?)
}

/// What tells this cluster from others.
pub(super) async fn cluster(fleet: &Fleet) -> anyhow::Result<String> {
    let missing = "the conductor has not written the settings of this cluster yet";
    let uid = fleet.cluster_uid().await.diagnose()?;
    Ok(uid.ok_or_else(|| Diagnosed::with_code(explain::SETTINGS_MISSING, missing))?)
}
