//! `salt-ssh`.

use std::{path::Path, time::Duration};

use metalk8s_diagnostics::{DiagnoseExt, Diagnosed, Exit, Printer};
use metalk8s_orchestrator::ssh;
use metalk8s_saltcompat::{
    Returned, Target, matching,
    output::{self, Answer},
};
use metalk8s_types::paths;
use serde_json::Value;

use super::{
    master::{begin_log, fleet, form},
    salt::print,
};
use crate::args::SaltSsh;

/// Salt's status where a target means nobody.
const NOBODY: u8 = 2;

/// Calls a function on machines of Node objects, without their agents.
pub(crate) async fn run(args: SaltSsh, printer: &mut Printer) -> anyhow::Result<Exit> {
    begin_log(args.log_level)?;
    let form = form(&args.output, printer)?;
    let fleet = fleet();
    let target = Target::parse(args.kind(), &args.target)?;
    let nodes = fleet.nodes().await.diagnose()?;
    let chosen = matching(&target, nodes.iter().map(|node| (node.name.as_str(), None)));
    if chosen.is_empty() {
        printer.data(output::NO_MATCH);
        printer.say(output::NO_RETURN);
        return Ok(Exit::Status(NOBODY));
    }
    let patience = Duration::from_secs(args.timeout);
    let mut exit = Exit::Done;
    for node in nodes.iter().filter(|node| chosen.contains(&node.name)) {
        let answer =
            ssh::call(&fleet, node, Path::new(paths::ARCHIVES), &args.function, &args.arguments, patience);
        let returned = match answer.await {
            Ok((value, retcode)) => Returned::from_parts(value, retcode, None),
            Err(error) => {
                printer.error(&Diagnosed::new(error));
                Returned::from_parts(Value::Bool(false), 1, None)
            }
        };
        if returned.retcode() != 0 {
            exit = Exit::Failed;
        }
        print(printer, &output::answer(&node.name, &Answer::Returned(returned), &form)?);
    }
    Ok(exit)
}
