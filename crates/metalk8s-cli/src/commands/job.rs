//! `metalk8s job`.

use jiff::tz::TimeZone;
use metalk8s_agent::{Outcome, Spool, carry_out};
use metalk8s_diagnostics::{Exit, logging, sentence};
use metalk8s_engine::ApplyOptions;
use metalk8s_saltcompat::call;

use super::salt_call::{Folders, Here};
use crate::args;

/// Carries out the job and leaves its outcome beside it.
pub(crate) async fn run(args: args::Job) -> anyhow::Result<Exit> {
    logging::daemon()?;
    let spool = Spool::open(&args.jobs)?;
    carry_out(&spool, &args.name, async |job| {
        let roots = Folders::new(vec!["/srv/salt".into()]).map_err(|error| error.to_string())?;
        let here = Here::in_fleet(roots, &args.kubeconfig, &args.node).await;
        let here = here.map_err(|error| sentence(error.as_ref()))?;
        let options = ApplyOptions::default();
        let returned = call(&job.function, &job.arguments, &here, &options, &TimeZone::system()).await;
        let returned = returned.map_err(|error| sentence(&error))?;
        let outputter = returned.outputter().map(str::to_owned);
        Ok(Outcome { retcode: returned.retcode(), result: returned.value().to_string(), outputter })
    })
    .await?;
    Ok(Exit::Done)
}
