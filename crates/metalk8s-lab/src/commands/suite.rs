//! `./lab suite NAME`.

use anyhow::{Context, Result};
use metalk8s_diagnostics::{Exit, Printer};
use metalk8s_lab::suite;

use crate::{
    args::{Common, Suite},
    commands,
};

pub(super) fn run(common: &Common, args: &Suite, printer: &mut Printer) -> Result<Exit> {
    let Some(name) = &args.name else {
        for suite in suite::SUITES {
            printer.data(&format!("{:<10} {} ({} checks)", suite.name, suite.about, suite.checks.len()));
        }
        return Ok(Exit::Done);
    };
    let suite = suite::SUITES.iter().find(|suite| suite.name == name).with_context(|| {
        let names: Vec<_> = suite::SUITES.iter().map(|suite| suite.name).collect();
        format!("there is no suite `{name}`; there are: {}", names.join(", "))
    })?;
    let tally = suite::run(suite, &commands::name(common)?, printer)?;
    Ok(if tally.failed == 0 { Exit::Done } else { Exit::Failed })
}
