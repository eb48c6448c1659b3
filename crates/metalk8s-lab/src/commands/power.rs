//! `./lab reboot` and `./lab kill`.

use anyhow::Result;
use metalk8s_diagnostics::{Diagnosed, Exit};

use crate::{
    args::{Common, Kill, One},
    commands,
};

pub(super) fn reboot(common: &Common, args: &One) -> Result<Exit> {
    let lab = commands::find(common)?;
    let machine = commands::lab(lab.machine(&args.machine))?;
    let step = commands::progress(common).step(format!("Rebooting the machine {}", machine.name));
    machine.reboot().map_err(Diagnosed::new)?;
    lab.networks.join()?;
    step.done();
    Ok(Exit::Done)
}

pub(super) fn kill(common: &Common, args: &Kill) -> Result<Exit> {
    let lab = commands::find(common)?;
    let machine = commands::lab(lab.machine(&args.machine))?;
    let step = commands::progress(common).step(format!("Cutting the power of the machine {}", machine.name));
    if args.stay_off {
        machine.cut_power().map_err(Diagnosed::new)?;
    } else {
        machine.power_cut().map_err(Diagnosed::new)?;
        lab.networks.join()?;
    }
    step.done();
    Ok(Exit::Done)
}
