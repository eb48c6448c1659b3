//! `metalk8s job`.

use std::{error::Error, path::Path};

use jiff::tz::TimeZone;
use metalk8s_agent::{Outcome, Spool, carry_out};
use metalk8s_diagnostics::{DiagnoseExt, Exit, Problems, coded_sentence, logging, sentence};
use metalk8s_engine::ApplyOptions;
use metalk8s_orchestrator::{
    plans::{self, Reply},
    programs,
};
use metalk8s_saltcompat::{CallError, Formula, Minion, call};
use metalk8s_types::paths;
use serde_json::Map;

use super::{
    look::{coded, record},
    other_version::go_on_as,
    salt_call::Here,
};
use crate::args;

/// Carries out the job and leaves its outcome beside it.
pub(crate) async fn run(args: args::Job) -> anyhow::Result<Exit> {
    logging::daemon()?;
    let spool = Spool::open(&args.jobs).diagnose()?;
    carry_out(&spool, &args.name, async |job| {
        let here = Here::of_agent(&args.kubeconfig, &args.node).await;
        let here = here.map_err(|error| coded(error.as_ref()))?;
        if let Some(version) = programs::other_version(&job.function, &job.arguments) {
            let why = go_on_as(version, &here).await;
            let unknown = || {
                format!("the program of {version} is not known: the conductor has not written any settings")
            };
            return Err(why.as_ref().map_or_else(unknown, |why| coded(why)));
        }
        if let Some(request) = plans::Request::of(&job.function, &job.arguments) {
            return about_plans(&request.map_err(|error| coded_sentence(&error))?, &here).await;
        }
        let options = ApplyOptions::default();
        let returned = call(&job.function, &job.arguments, &here, &options, &TimeZone::system()).await;
        let returned = returned.map_err(|error| told(&error))?;
        let outputter = returned.outputter().map(str::to_owned);
        Ok(Outcome { retcode: returned.retcode(), result: returned.value().to_string(), outputter })
    })
    .await
    .diagnose()?;
    Ok(Exit::Done)
}

/// Why a function returned nothing, in a line: with all that is wrong in what somebody wrote.
fn told(error: &CallError) -> String {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(problems) = cause.downcast_ref::<Problems>() {
            return format!("{}: {}", sentence(error), problems.brief());
        }
        next = cause.source();
    }
    coded_sentence(error)
}

async fn about_plans(request: &plans::Request, here: &Here) -> Result<Outcome, String> {
    let graph = here.formula(Formula::Highstate, true, &Map::new()).map_err(|error| coded(error.as_ref()))?;
    let places = (Path::new(paths::RUNS), Path::new(paths::RUN_LOCK));
    let reply =
        request.answer(&graph, here, places.0, places.1).await.map_err(|error| coded_sentence(&error))?;
    if let Reply::Plan(plan) = &reply {
        record(Ok(&plan.changes)).map_err(|error| coded(&error))?;
    }
    Ok(Outcome { retcode: reply.retcode(), result: reply.value().to_string(), outputter: None })
}
