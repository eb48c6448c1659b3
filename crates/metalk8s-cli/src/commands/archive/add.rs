//! `metalk8s archive add`, documented as `iso-manager.sh`.

use std::{path::Path, time::Instant};

use metalk8s_diagnostics::{DiagnoseExt, Exit, LogFormat, Printer, Progress, ProgressMode, logging};
use metalk8s_host::Host;
use metalk8s_orchestrator::{
    RunJournal,
    archives::{self, Archives, ArchivesOptions, prepare},
    lock,
    stages::{self, Summary},
};
use metalk8s_types::paths;

use crate::{
    args::ArchiveAdd,
    commands::{
        procedure::{begin, interrupted, must_be_root, print_plans, print_summary, stopped},
        told_to_stop,
    },
};

/// Prepares, then plans or runs.
pub(crate) async fn run(args: ArchiveAdd, quiet: bool, printer: &mut Printer) -> anyhow::Result<Exit> {
    must_be_root()?;
    let options = ArchivesOptions::new(&args.config, args.archives.clone(), args.dry_run);
    let host = Host::new();
    let mode = ProgressMode::choose(quiet, args.telling.verbose, args.telling.no_progress);
    if args.dry_run {
        logging::command(None, LogFormat::Text, u8::from(args.telling.verbose))?;
        let archives = decide(&options, &Progress::new(mode, None))?;
        let plans = stages::plan(&archives.stages, &host).await.diagnose()?;
        return print_plans(&plans, args.telling.output, args.exit_code, printer);
    }
    let progress = begin("iso-manager", &args.log_file, mode, args.telling.verbose, printer)?;
    let began = Instant::now();
    // Taken before the configuration is read: whoever comes second must not write over what the first added.
    let _lock = lock(Path::new(paths::RUN_LOCK), archives::RUN).diagnose()?;
    let archives = decide(&options, &progress)?;
    let steps: Vec<_> = archives.stages.iter().map(|stage| stage.name).collect();
    let mut journal = RunJournal::begin(Path::new(paths::RUNS), archives::RUN, &steps).diagnose()?;
    let summary = tokio::select! {
        summary = stages::run(&archives.stages, &host, &progress, &mut journal) => summary,
        _ = told_to_stop() => return Ok(interrupted(printer)),
    };
    let summary = summary.map_err(|err| stopped(err, &args.log_file))?;
    let words = words(&archives, &summary);
    print_summary(&summary, began.elapsed().as_secs_f64(), args.telling.output, &words, printer)?;
    Ok(Exit::Done)
}

fn decide(options: &ArchivesOptions, progress: &Progress) -> anyhow::Result<Archives> {
    Ok(tokio::task::block_in_place(|| prepare(options, progress)).diagnose()?)
}

fn words(archives: &Archives, summary: &Summary) -> String {
    let lines = archives.mounts.iter().map(|mount| match mount.is_image {
        true => format!("\n  {} at {}", mount.archive.display(), mount.mountpoint.display()),
        false => format!("\n  {}", mount.archive.display()),
    });
    format!(
        "\nArchives, {} of {} states changed:{}",
        summary.changed,
        summary.states,
        lines.collect::<String>()
    )
}
