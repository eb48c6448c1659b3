//! `./lab suite NAME`.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use metalk8s_diagnostics::{Exit, Printer};
use metalk8s_lab::suite::{self, Options, results};

use crate::{
    args::{Common, Suite},
    checkout,
    commands::{self, up::built_archive},
};

pub(super) fn run(common: &Common, args: &Suite, printer: &mut Printer) -> Result<Exit> {
    let Some(name) = &args.name else {
        for suite in suite::SUITES {
            printer.data(&format!("{:<10} {}", suite.name, suite.about));
        }
        return Ok(Exit::Done);
    };
    let suite = suite::SUITES.iter().find(|suite| suite.name == name).with_context(|| {
        let names: Vec<_> = suite::SUITES.iter().map(|suite| suite.name).collect();
        format!("there is no suite `{name}`; there are: {}", names.join(", "))
    })?;
    let checkout = checkout::root()?;
    let folder = args.results.clone().unwrap_or_else(|| checkout.join("_build/results"));
    let archive = args.iso.clone().map_or_else(|| built_archive(&checkout), Ok)?;
    let options = Options {
        lab: commands::name(common)?,
        archive,
        checkout,
        rounds: args.rounds,
        seed: args.seed.unwrap_or_else(seconds_now),
        full: args.full,
    };
    let tally = results::run(suite, &options, &folder, printer)?;
    Ok(if tally.failed() == 0 { Exit::Done } else { Exit::Failed })
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs())
}
