//! `metalk8s bootstrap`.

use std::{path::Path, time::Instant};

use anyhow::Context;
use metalk8s_diagnostics::{DiagnoseExt, Exit, LogFormat, Printer, Progress, ProgressMode, logging};
use metalk8s_engine::Chain;
use metalk8s_host::Host;
use metalk8s_kube::Cluster;
use metalk8s_orchestrator::{
    RunJournal, api_servers, backup,
    bootstrap::{Bootstrap, BootstrapOptions, RUN, prepare},
    lock,
    stages::{self, Summary},
};
use metalk8s_types::paths;

use super::{
    procedure::{begin, interrupted, must_be_root, print_plans, print_summary, stopped},
    told_to_stop,
};
use crate::args;

/// Prepares, then plans or runs.
pub(crate) async fn run(args: args::Bootstrap, quiet: bool, printer: &mut Printer) -> anyhow::Result<Exit> {
    must_be_root()?;
    let options = BootstrapOptions {
        archive: args.archive.clone(),
        config: args.config.clone(),
        dry_run: args.dry_run,
    };
    // At a new address of this machine its own API server answers late, those of other masters at once.
    let servers = api_servers::listed().unwrap_or_default();
    let (host, cluster) = (Host::new(), Cluster::lazy_or_at(paths::ADMIN_KUBECONFIG, &servers));
    let hands = Chain::new(vec![&host, &cluster, &backup::Keeper]);
    let mode = ProgressMode::choose(quiet, args.telling.verbose, args.telling.no_progress);
    if args.dry_run {
        logging::command(None, LogFormat::Text, u8::from(args.telling.verbose))?;
        let bootstrap = decide(&options, &Progress::new(mode, None)).await?;
        let plans = stages::plan(&bootstrap.stages, &hands).await.diagnose()?;
        return print_plans(&plans, args.telling.output, args.exit_code, printer);
    }
    let progress = begin(RUN, &args.log_file, mode, args.telling.verbose, printer)?;
    link_documented_log(&args.log_file);
    let began = Instant::now();
    let bootstrap = decide(&options, &progress).await?;
    let _lock = lock(Path::new(paths::RUN_LOCK), RUN).diagnose()?;
    let steps: Vec<_> = bootstrap.stages.iter().map(|stage| stage.name).collect();
    let mut journal = RunJournal::open(Path::new(paths::RUNS), RUN, &steps).diagnose()?;
    if journal.is_resumed() {
        progress.say(&format!("Going on with run {}, which did not end.", journal.run()));
    }
    let summary = tokio::select! {
        summary = stages::run(&bootstrap.stages, &hands, &progress, &mut journal) => summary,
        _ = told_to_stop() => return Ok(interrupted(printer)),
    };
    let summary = summary.map_err(|err| stopped(err, &args.log_file))?;
    let seconds = began.elapsed().as_secs_f64();
    print_summary(&summary, seconds, args.telling.output, &words(&bootstrap, &summary, seconds), printer)?;
    Ok(Exit::Done)
}

async fn decide(options: &BootstrapOptions, progress: &Progress) -> anyhow::Result<Bootstrap> {
    let grains = Host::new().collect_grains().context("could not look at this machine")?;
    Ok(prepare(options, &grains, progress).await.diagnose()?)
}

fn words(bootstrap: &Bootstrap, summary: &Summary, seconds: f64) -> String {
    let backup = backup::newest_here().map(|file| format!("\n  backup       {}", file.display()));
    format!(
        "\nThis machine is a Bootstrap node: {} of {} states changed in {seconds:.1} s.\n\n  \
         API server   https://{}:6443\n  \
         kubectl      kubectl --kubeconfig {} get nodes{}\n  \
         next         {}/docs/operation/everyday.md",
        summary.changed,
        summary.states,
        bootstrap.pillar.node.control_plane,
        paths::ADMIN_KUBECONFIG,
        backup.unwrap_or_default(),
        bootstrap.pillar.archive.root.display(),
    )
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
