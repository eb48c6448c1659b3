//! `metalk8s drift`.

use metalk8s_diagnostics::{Exit, Output, Printer};
use metalk8s_orchestrator::plans::{self, Verdict};

use super::{
    master::fleet,
    plan::{SILENT, ask},
};
use crate::args::Drift;

/// Says whether nodes are what they shall be.
pub(crate) async fn run(args: Drift, printer: &mut Printer) -> anyhow::Result<Exit> {
    let asked = ask(&fleet(), &args.asking).await?;
    match args.asking.format {
        Output::Text => printer.data(plans::drift_text(&asked, printer.paint()).trim_end()),
        Output::Json => printer.json(&asked)?,
        Output::Yaml => printer.data(&serde_saphyr::to_string(&asked)?),
    }
    Ok(match Verdict::of(&asked) {
        Verdict::AsWished => Exit::Done,
        Verdict::Drifted => Exit::Pending,
        Verdict::Incomplete => SILENT,
    })
}
