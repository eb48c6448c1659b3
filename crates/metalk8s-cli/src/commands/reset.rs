//! `metalk8s reset`.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use metalk8s_diagnostics::{
    DiagnoseExt, Diagnosed, Exit, LogFormat, Output, Printer, Progress, ProgressMode, logging,
};
use metalk8s_host::Host;
use metalk8s_orchestrator::{
    RunLock, lock_within,
    reset::{self, Removal, ResetOptions},
    stages::{self, StagePlan},
};
use metalk8s_types::paths;

use super::{
    confirm::confirm,
    procedure::{interrupted, must_be_root},
    told_to_stop,
};
use crate::args::Reset;

/// How long another reset of the conductor, whose caller was lost, has to end.
const PATIENCE: Duration = Duration::from_secs(600);

/// Shows what is there, asks, removes it.
pub(crate) async fn run(args: Reset, quiet: bool, printer: &mut Printer) -> anyhow::Result<Exit> {
    must_be_root()?;
    logging::command(None, LogFormat::Text, 0)?;
    let host = Host::new();
    if let Some(server) = &args.redirect_agent {
        reset::redirect_agent(&host, server).await.diagnose()?;
        return Ok(Exit::Done);
    }
    let node = host.collect_grains().context("could not look at this machine")?.hostname;
    let _lock = take_lock(args.keep_agent).await?;
    let options = ResetOptions { force: args.force, keeps_agent: args.keep_agent };
    let stages = reset::decide(&host, &node, &options).await.diagnose()?;
    if args.plan || !args.yes {
        let plans = stages::plan(&stages, &host).await.diagnose()?;
        print_plans(&plans, if args.plan { args.output } else { Output::Text }, printer)?;
        if args.plan || is_clean(&plans) {
            return Ok(Exit::Done);
        }
        printer.say("All of this is removed from this machine, with all data of its pods and of etcd.");
        if !confirm("Remove it?", args.yes)? {
            return Ok(Exit::Failed);
        }
    }
    let began = Instant::now();
    let is_silent = quiet || args.keep_agent;
    let progress = Progress::new(ProgressMode::choose(is_silent, false, args.no_progress), None);
    let removal = tokio::select! {
        removal = reset::carry_out(stages, &host, args.keep_agent, &progress) => removal,
        _ = told_to_stop() => return Ok(interrupted(printer)),
    };
    let removal = removal.map_err(|err| {
        Diagnosed::new(err)
            .hint("what was removed stays so: repair the cause, then start the same command again")
    })?;
    print_summary(&removal, began.elapsed().as_secs_f64(), args.output, printer)?;
    Ok(Exit::Done)
}

/// A machine on which nothing was ever run gets no file for a lock.
async fn take_lock(waits: bool) -> anyhow::Result<Option<RunLock>> {
    if !Path::new(paths::RUNS).exists() {
        return Ok(None);
    }
    let patience = if waits { PATIENCE } else { Duration::ZERO };
    Ok(Some(lock_within(Path::new(paths::RUN_LOCK), "reset", patience).await.diagnose()?))
}

fn print_plans(plans: &[StagePlan], output: Output, printer: &mut Printer) -> anyhow::Result<()> {
    match output {
        Output::Text => {
            for StagePlan { title, plan } in plans {
                let lines = reset::lines(plan);
                if !lines.is_empty() {
                    printer.data(&format!("== {title}\n  {}", lines.join("\n  ")));
                }
            }
            if is_clean(plans) {
                printer.data("There is nothing to remove: this machine is no node.");
            }
        }
        Output::Json => printer.json(&plans)?,
        Output::Yaml => printer.data(&serde_saphyr::to_string(&plans)?),
    }
    Ok(())
}

fn is_clean(plans: &[StagePlan]) -> bool {
    plans.iter().all(|stage| reset::lines(&stage.plan).is_empty())
}

fn print_summary(
    removal: &Removal,
    seconds: f64,
    output: Output,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    match output {
        Output::Text => {
            let count = removal.removed.len();
            printer.say(&format!(
                "\nThis machine is no node any more: {count} things were removed in {seconds:.1} s."
            ));
            printer.say("Kernel parameters and modules keep their values until the next boot.");
        }
        Output::Json => printer.json(removal)?,
        Output::Yaml => printer.data(&serde_saphyr::to_string(removal)?),
    }
    Ok(())
}
