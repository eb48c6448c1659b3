//! `metalk8s apply`.

use std::{collections::BTreeMap, time::Duration};

use metalk8s_diagnostics::{DiagnoseExt, Diagnosed, Exit, Output, Paint, Printer, colours_wanted};
use metalk8s_orchestrator::plans::{self, Answer, Application, ApplyPlanError, Asked, PlanFile};
use serde_json::json;

use super::{
    confirm::confirm,
    master::fleet,
    plan::{SILENT, cluster},
};
use crate::args::Apply;

/// The plan is not what would be done now.
const MOVED: Exit = Exit::Status(5);

/// Does what the plan says.
pub(crate) async fn run(args: Apply, printer: &mut Printer) -> anyhow::Result<Exit> {
    let plan = PlanFile::read(&args.plan).diagnose()?;
    let fleet = fleet();
    let cluster = cluster(&fleet).await?;
    let done = match Application::new(&fleet, &plan, &cluster, Duration::from_secs(args.timeout)) {
        Ok(application) => carry_out(&application, &plan, &args, printer).await?,
        Err(error) => Err(error),
    };
    Ok(match done {
        Ok(exit) => exit,
        Err(error) => {
            let exit = match &error {
                ApplyPlanError::Silent { .. } => SILENT,
                ApplyPlanError::Cluster { .. } | ApplyPlanError::Moved { .. } => MOVED,
                ApplyPlanError::Bus(_) | ApplyPlanError::Failed { .. } => Exit::Failed,
            };
            printer.error(&Diagnosed::new(error));
            exit
        }
    })
}

async fn carry_out(
    application: &Application<'_>,
    plan: &PlanFile,
    args: &Apply,
    printer: &mut Printer,
) -> anyhow::Result<Result<Exit, ApplyPlanError>> {
    let checked = match application.check().await {
        Ok(checked) => checked,
        Err(error) => return Ok(Err(error)),
    };
    if !args.yes {
        let colours = colours_wanted(&std::io::stderr());
        let asked = Asked { plans: plan.nodes.clone(), ..Asked::default() };
        printer.say(plans::plan_text(&asked, Paint::new(colours), colours).trim_end());
    }
    for line in plans::checked_lines(&checked) {
        printer.say(&line);
    }
    if !checked.to_do.is_empty() && !confirm("Apply this plan?", args.yes)? {
        printer.say("Nothing was changed.");
        return Ok(Ok(Exit::Failed));
    }
    let mut answers: BTreeMap<String, Answer> = BTreeMap::new();
    let carried_out = application.carry_out(&checked, |node, answer| match answer {
        None => printer.say(&format!("{node}: applying ...")),
        Some(answer) => {
            printer.say(&plans::applied_text(node, answer));
            answers.insert(node.to_owned(), answer.clone());
        }
    });
    let done = tokio::select! {
        done = carried_out => done,
        _ = super::told_to_stop() => {
            printer.say("Interrupted. The node that was begun goes on to its end; the same command goes on from there.");
            return Ok(Ok(Exit::Interrupted));
        }
    };
    let data = json!({"nodes": answers, "done_before": checked.done});
    match args.format {
        Output::Text => {}
        Output::Json => printer.json(&data)?,
        Output::Yaml => printer.data(&serde_saphyr::to_string(&data)?),
    }
    if done.is_ok() {
        printer.say("All of the plan is done.");
    }
    Ok(done.map(|()| Exit::Done))
}
