//! `metalk8s certificates`.

use anyhow::Context;
use jiff::{Timestamp, tz::TimeZone};
use metalk8s_diagnostics::{DiagnoseExt, Exit, Output, Printer};
use metalk8s_host::Host;
use metalk8s_orchestrator::certificates::{NodeCertificates, here, of_fleet, text};

use super::master::fleet;
use crate::args::Certificates;

/// Lists certificates.
pub(crate) async fn run(args: Certificates, printer: &mut Printer) -> anyhow::Result<Exit> {
    let nodes = if args.local {
        let host = Host::new();
        let node = host.collect_grains().context("could not look at this machine")?.hostname;
        vec![NodeCertificates::judge(&node, Ok(here(&host, &node)), Timestamp::now())]
    } else {
        of_fleet(&fleet(), args.node.as_deref()).await.diagnose()?
    };
    match args.output {
        Output::Text => printer.data(text(&nodes, &TimeZone::system(), printer.paint()).trim_end()),
        Output::Json => printer.json(&nodes)?,
        Output::Yaml => printer.data(&serde_saphyr::to_string(&nodes)?),
    }
    Ok(if nodes.iter().any(NodeCertificates::is_bad) { Exit::Failed } else { Exit::Done })
}
