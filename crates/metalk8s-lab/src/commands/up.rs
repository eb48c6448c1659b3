//! `./lab up`.

use std::{path::PathBuf, time::Instant};

use anyhow::Result;
use metalk8s_diagnostics::{Exit, Printer};
use metalk8s_lab::{Lab, LabConfig};

use crate::{
    args::{Common, Up},
    checkout,
    commands::{self, status::Status},
};

pub(super) fn run(common: &Common, args: &Up, printer: &mut Printer) -> Result<Exit> {
    let started = Instant::now();
    let progress = commands::progress(common);
    let name = commands::name(common)?;
    progress.say(&format!("Lab {name}: {} on networks of their own", count(args.machines)));
    let config =
        LabConfig { name, machines: args.machines, archive: archive(args)?, bootstrap: !args.no_bootstrap };
    let lab = commands::lab(Lab::up(&config, &progress))?;

    let status = Status::of(&lab)?;
    let seconds = started.elapsed().as_secs_f64();
    progress.say(&format!("The lab is up after {seconds:.1} s"));
    commands::answer(common, printer, &status, &status.text())?;
    Ok(Exit::Done)
}

fn archive(args: &Up) -> Result<Option<PathBuf>> {
    if args.iso.is_some() {
        return Ok(args.iso.clone());
    }
    let path = checkout::root()?.join("_build/metalk8s.iso");
    Ok((!args.no_bootstrap || path.exists()).then_some(path))
}

fn count(machines: u8) -> String {
    if machines == 1 { "1 machine".to_owned() } else { format!("{machines} machines") }
}
