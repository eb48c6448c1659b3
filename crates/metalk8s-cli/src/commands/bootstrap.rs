//! `metalk8s bootstrap`.

use std::{path::Path, time::Instant};

use anyhow::Context;
use metalk8s_diagnostics::{
    DiagnoseExt, Diagnosed, Exit, LogFile, LogFormat, Output, Printer, Progress, ProgressMode,
    colours_wanted, explain, logging,
};
use metalk8s_engine::Chain;
use metalk8s_host::Host;
use metalk8s_kube::Cluster;
use metalk8s_orchestrator::{
    RunJournal,
    bootstrap::{Bootstrap, BootstrapOptions, StagePlan, Summary, prepare},
    lock,
};
use metalk8s_types::paths;
use serde_json::json;

use super::told_to_stop;
use crate::args;

/// Prepares, then plans or runs.
pub(crate) async fn run(args: args::Bootstrap, quiet: bool, printer: &mut Printer) -> anyhow::Result<Exit> {
    if !rustix::process::geteuid().is_root() {
        return Err(Diagnosed::with_code(explain::NOT_ROOT, "Script must run as root").into());
    }
    let options = BootstrapOptions {
        archive: args.archive.clone(),
        config: args.config.clone(),
        dry_run: args.dry_run,
    };
    let (host, cluster) = (Host::new(), Cluster::lazy(paths::ADMIN_KUBECONFIG));
    let hands = Chain::new(vec![&host, &cluster]);
    if args.dry_run {
        logging::command(None, LogFormat::Text, u8::from(args.verbose))?;
        return plan(&options, &args, &hands, quiet, printer).await;
    }
    let log = LogFile::open(&args.log_file).diagnose()?;
    log.opening("bootstrap").context("could not write the log")?;
    link_documented_log(&args.log_file);
    logging::command(Some(log.clone()), LogFormat::Text, u8::from(args.verbose))?;
    let progress = Progress::new(ProgressMode::choose(quiet, args.verbose, args.no_progress), Some(log));
    let began = Instant::now();
    let bootstrap = decide(&options, &progress).await?;
    let _lock = lock(&Path::new(paths::RUNS).join("lock"), "bootstrap").diagnose()?;
    let steps: Vec<_> = bootstrap.stages.iter().map(|stage| stage.name).collect();
    let mut journal = RunJournal::open(Path::new(paths::RUNS), "bootstrap", &steps).diagnose()?;
    if journal.is_resumed() {
        progress.say(&format!("Going on with run {}, which did not end.", journal.run()));
    }
    let summary = tokio::select! {
        summary = bootstrap.run(&hands, &progress, &mut journal) => summary,
        _ = told_to_stop() => return Ok(interrupted(printer)),
    };
    match summary {
        Ok(summary) => {
            finish(&bootstrap, &summary, began, args.output, printer)?;
            Ok(Exit::Done)
        }
        Err(err) => Err(Diagnosed::with_code(explain::STATE_FAILED, err)
            .hint(format!("everything that was done is kept: repair the cause, then start the same command again; all details are in `{}`", args.log_file.display()))
            .into()),
    }
}

async fn decide(options: &BootstrapOptions, progress: &Progress) -> anyhow::Result<Bootstrap> {
    let grains = Host::new().collect_grains().context("could not look at this machine")?;
    Ok(prepare(options, &grains, progress).await.diagnose()?)
}

async fn plan(
    options: &BootstrapOptions,
    args: &args::Bootstrap,
    hands: &Chain<'_>,
    quiet: bool,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let progress = Progress::new(ProgressMode::choose(quiet, args.verbose, args.no_progress), None);
    let stages = decide(options, &progress).await?.plan(hands).await?;
    let pending = stages.iter().any(|stage| stage.plan.pending().next().is_some());
    match args.output {
        Output::Text => {
            for StagePlan { title, plan } in &stages {
                printer.data(&format!("== {title}"));
                printer.data(plan.text(colours_wanted(&std::io::stdout())).trim_end());
            }
        }
        Output::Json => printer.json(&stages)?,
        Output::Yaml => printer.data(&serde_saphyr::to_string(&stages)?),
    }
    Ok(if pending && args.exit_code { Exit::Pending } else { Exit::Done })
}

fn finish(
    bootstrap: &Bootstrap,
    summary: &Summary,
    began: Instant,
    output: Output,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let seconds = began.elapsed().as_secs_f64();
    match output {
        Output::Json => {
            printer
                .json(&json!({"states": summary.states, "changed": summary.changed, "seconds": seconds}))?;
        }
        Output::Yaml => printer.data(&serde_saphyr::to_string(
            &json!({"states": summary.states, "changed": summary.changed, "seconds": seconds}),
        )?),
        Output::Text => printer.say(&format!(
            "\nThis machine is a Bootstrap node: {} of {} states changed in {seconds:.1} s.\n\n  \
             API server   https://{}:6443\n  \
             kubectl      kubectl --kubeconfig {} get nodes\n  \
             next         add nodes: see \"Expansion\" in the Installation Guide",
            summary.changed,
            summary.states,
            bootstrap.pillar.node.control_plane,
            paths::ADMIN_KUBECONFIG,
        )),
    }
    Ok(())
}

fn interrupted(printer: &mut Printer) -> Exit {
    printer.say("Interrupted. What was done is kept; the same command goes on from there.");
    Exit::Interrupted
}

/// The manual names another path (S1:2035): it is a link to the real log.
fn link_documented_log(log: &Path) {
    let documented = Path::new(paths::DOCUMENTED_BOOTSTRAP_LOG);
    if log.starts_with(paths::LOG_DIR)
        && std::fs::symlink_metadata(documented).is_err()
        && let Err(err) = std::os::unix::fs::symlink(log, documented)
    {
        tracing::warn!(error = %err, "could not link the documented path of the log");
    }
}
