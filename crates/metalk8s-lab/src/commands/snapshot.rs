//! `./lab snapshot` and `./lab restore`.

use anyhow::Result;
use metalk8s_diagnostics::Exit;

use crate::{
    args::{Common, Snapshot},
    commands,
};

pub(super) fn take(common: &Common, args: &Snapshot) -> Result<Exit> {
    let lab = commands::find(common)?;
    commands::lab(lab.take_snapshot(&args.name, &commands::progress(common)))?;
    Ok(Exit::Done)
}

pub(super) fn restore(common: &Common, args: &Snapshot) -> Result<Exit> {
    let lab = commands::find(common)?;
    commands::lab(lab.restore_snapshot(&args.name, &commands::progress(common)))?;
    Ok(Exit::Done)
}
