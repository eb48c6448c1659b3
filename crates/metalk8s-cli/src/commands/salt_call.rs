//! `salt-call`.

mod here;
mod roots;

use std::time::Duration;

use jiff::tz::TimeZone;
use metalk8s_diagnostics::{Diagnose, Diagnosed, Exit, Printer, explain};
use metalk8s_engine::ApplyOptions;
use metalk8s_orchestrator::programs;
use metalk8s_saltcompat::{
    call,
    output::{self, Answer},
    reads_settings,
};

use super::{
    master::{begin_log, form},
    other_version::go_on_as,
};
use crate::args::SaltCall;
pub(crate) use here::Here;
pub(crate) use roots::Folders;

/// Salt's name for the machine itself, where there is no master.
const LOCAL: &str = "local";

/// Calls the function and prints what it returned.
pub(crate) async fn run(args: SaltCall, printer: &mut Printer) -> anyhow::Result<Exit> {
    begin_log(args.log_level)?;
    if args.verbose && !args.local {
        printer.say("No master is asked: the function is carried out on this machine, as with --local.");
    }
    let form = form(&args.output, printer)?;
    let roots = Folders::new(args.file_root)?;
    let (function, arguments) = match (args.doc, args.grains) {
        (true, _) => ("sys.doc".to_owned(), args.function.into_iter().chain(args.arguments).collect()),
        (false, true) => ("grains.items".to_owned(), Vec::new()),
        (false, false) => (args.function.unwrap_or_default(), args.arguments),
    };
    let other = programs::other_version(&function, &arguments);
    let here = if other.is_some() || reads_settings(&function, &arguments) {
        Here::of_machine(roots, args.config_dir, Duration::from_secs(args.timeout.into())).await
    } else {
        Here::new(roots, args.config_dir)
    };
    if let Some(version) = other
        && let Some(why) = go_on_as(version, &here).await
    {
        printer.error(&why);
        return Ok(Exit::Failed);
    }
    let options = ApplyOptions::in_order();
    match call(&function, &arguments, &here, &options, &TimeZone::system()).await {
        Ok(returned) if args.doc => {
            printer.data(output::docs_of([&returned.value()]).trim_end());
            Ok(Exit::Done)
        }
        Ok(returned) => {
            let retcode = returned.retcode();
            printer.data(&output::answer(LOCAL, &Answer::Returned(returned), &form)?);
            Ok(match retcode {
                0 => Exit::Done,
                code if args.retcode_passthrough => Exit::Status(code),
                _ => Exit::Failed,
            })
        }
        Err(err) => {
            // Mistakes in SLS files end with 1, as they do with Salt: 2 would mean that states failed.
            let is_usage = err.code() == Some(explain::WRONG_USAGE);
            let exit = if is_usage { Exit::Usage } else { Exit::Failed };
            printer.error(&Diagnosed::new(err));
            Ok(exit)
        }
    }
}
