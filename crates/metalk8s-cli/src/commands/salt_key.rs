//! `salt-key`.

use std::io::BufRead;

use anyhow::Context;
use metalk8s_diagnostics::{DiagnoseExt, Exit, Printer};
use metalk8s_orchestrator::master::name;
use metalk8s_saltcompat::keys::{self, KeyAction, KeyChange, Keys};

use super::{
    master::{begin_log, fleet, form},
    salt::print,
};
use crate::args::SaltKey;

/// Lists the keys of agents, or deletes some.
pub(crate) async fn run(args: SaltKey, printer: &mut Printer) -> anyhow::Result<Exit> {
    begin_log(args.log_level)?;
    let form = form(&args.output, printer)?;
    let fleet = fleet();
    let accepted = fleet.agents().await.diagnose()?.iter().map(|agent| name(agent).to_owned()).collect();
    let known = Keys { accepted, ..Keys::default() };
    match args.action() {
        KeyAction::List(listed) => print(printer, &keys::list(&known, listed, &form)?),
        KeyAction::Print(pattern) | KeyAction::Finger(pattern) => {
            print(printer, &keys::touched(&known.matching(&pattern), &form)?);
        }
        KeyAction::Change(change, pattern) => {
            let touched = change.touches(&known, &pattern);
            if touched.is_empty() {
                printer.say(keys::no_match(change, &pattern).trim_end());
                return Ok(Exit::Failed);
            }
            let (head, prompt) = keys::question(change);
            print(printer, &head);
            print(printer, &keys::touched(&touched, &form)?);
            if !args.yes && !is_confirmed(change, prompt, printer)? {
                return Ok(Exit::Done);
            }
            match change {
                KeyChange::Delete => {
                    for node in &touched.accepted {
                        fleet.remove_agent(node).await.diagnose()?;
                    }
                }
                // There are none that wait: a key is accepted when its node is deployed.
                KeyChange::Accept { .. } | KeyChange::Reject { .. } => {}
            }
            print(printer, &keys::changed(change, &touched));
        }
    }
    Ok(Exit::Done)
}

fn is_confirmed(change: KeyChange, prompt: &str, printer: &mut Printer) -> anyhow::Result<bool> {
    printer.say(prompt.trim_end());
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("could not read the answer")?;
    Ok(change.is_confirmed(&answer))
}
