//! `salt-run`.

use std::time::Duration;

use jiff::tz::TimeZone;
use metalk8s_diagnostics::{DiagnoseExt, Exit, Printer};
use metalk8s_orchestrator::{
    dispatch::{Dispatched, only_answer},
    master::{Orchestration, Progress, Told, call},
};
use metalk8s_saltcompat::{
    output::{self, Form, Orchestrated},
    runner,
};
use metalk8s_types::fleet::RunPhase;

use super::{
    master::{begin_log, fleet, form},
    salt::print,
    told_to_stop,
};
use crate::args::SaltRun;

/// Calls a function of the master and prints what it returned.
pub(crate) async fn run(args: SaltRun, printer: &mut Printer) -> anyhow::Result<Exit> {
    begin_log(args.log_level)?;
    let form = form(&args.output, printer)?;
    if args.doc {
        let names: Vec<String> = args.function.into_iter().chain(args.arguments).collect();
        print(printer, &output::docs_of([&runner::docs(&names)]));
        return Ok(Exit::Done);
    }
    let asked = runner::parse(args.function.as_deref().unwrap_or_default(), &args.arguments).diagnose()?;
    let (fleet, patience) = (fleet(), Duration::from_secs(args.timeout));
    match call(&fleet, asked, patience).await.diagnose()? {
        Told::Value(value) => print(printer, &output::bare(&value, &form)?),
        Told::Answers(answers) => print(printer, &output::together(&answers, &form)?),
        Told::Begun(orchestration) if args.is_async => {
            printer.data(output::executed(&orchestration.run).trim_end());
        }
        Told::Begun(orchestration) => return follow(*orchestration, form, printer).await,
        Told::Given(given) if args.is_async => printer.data(output::executed(&given.id).trim_end()),
        Told::Given(given) => return wait(*given, patience, &form, printer).await,
    }
    Ok(Exit::Done)
}

/// Waits for the agent of the Bootstrap node, and prints what it returned as what the master did.
async fn wait(
    given: Dispatched,
    patience: Duration,
    form: &Form,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    let jid = given.id.clone();
    let answer = tokio::select! {
        answer = only_answer(given, patience) => answer,
        _ = told_to_stop() => {
            printer.say(&format!("The job {jid} goes on; `salt-run jobs.lookup_jid {jid}` shows what it returned."));
            return Ok(Exit::Interrupted);
        }
    };
    print(printer, &output::of_master(&answer, form)?);
    Ok(if answer.retcode() == 0 { Exit::Done } else { Exit::Failed })
}

async fn follow(mut orchestration: Orchestration, form: Form, printer: &mut Printer) -> anyhow::Result<Exit> {
    let mut told = Orchestrated::new(form, TimeZone::system());
    print(printer, &told.head());
    loop {
        let progress = tokio::select! {
            progress = orchestration.next() => progress.diagnose()?,
            _ = told_to_stop() => {
                let run = &orchestration.run;
                printer.say(&format!("The run {run} goes on; `metalk8s run show {run}` tells how far it is."));
                return Ok(Exit::Interrupted);
            }
        };
        match progress {
            Progress::Step(step) => print(printer, &told.ended(&step)),
            Progress::Over(phase) => {
                print(printer, &told.end()?);
                return Ok(if phase == RunPhase::Succeeded { Exit::Done } else { Exit::Failed });
            }
        }
    }
}
