//! `./lab status`.

use std::fmt::Write;

use anyhow::Result;
use metalk8s_diagnostics::{Diagnosed, Exit, Printer};
use metalk8s_lab::{Lab, install, machine::Power};
use serde::Serialize;

use crate::{args::Common, commands};

/// What is told of a lab; the shape of `--output json`.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    lab: String,
    control_plane: String,
    workload_plane: String,
    bootstrapped: bool,
    api: Option<String>,
    machines: Vec<MachineStatus>,
}

#[derive(Debug, Serialize)]
struct MachineStatus {
    name: String,
    power: Power,
    control: String,
    workload: String,
    container: String,
}

pub(super) fn run(common: &Common, printer: &mut Printer) -> Result<Exit> {
    let status = Status::of(&commands::find(common)?)?;
    commands::answer(common, printer, &status, &status.text())?;
    Ok(Exit::Done)
}

impl Status {
    pub(super) fn of(lab: &Lab) -> Result<Self> {
        let mut machines = Vec::new();
        for machine in &lab.machines {
            machines.push(MachineStatus {
                name: machine.name.clone(),
                power: machine.power().map_err(Diagnosed::new)?,
                control: machine.control.to_string(),
                workload: machine.workload.to_string(),
                container: machine.container.clone(),
            });
        }
        let first = machines.first().filter(|machine| machine.power == Power::On);
        let bootstrapped = first.is_some() && install::is_bootstrapped(lab).map_err(Diagnosed::new)?;
        let api = first.filter(|_| bootstrapped).map(|machine| format!("https://{}:6443", machine.control));
        Ok(Self {
            lab: lab.name.to_string(),
            control_plane: lab.networks.control.subnet.to_string(),
            workload_plane: lab.networks.workload.subnet.to_string(),
            bootstrapped,
            api,
            machines,
        })
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "Lab {}: control plane {}, workload plane {}\n",
            self.lab, self.control_plane, self.workload_plane
        );
        for machine in &self.machines {
            let power = match machine.power {
                Power::On => "on",
                Power::Off => "off",
            };
            // A String takes everything.
            let _ = writeln!(
                text,
                "  {:<10} {power:<4} {:<14} {}",
                machine.name, machine.control, machine.workload
            );
        }
        match &self.api {
            Some(api) => {
                let _ = write!(
                    text,
                    "API {api}\n  on the machine    ./lab ssh bootstrap -- kubectl get nodes\n  \
                     on this computer  ./lab kubeconfig > lab.conf; kubectl --kubeconfig lab.conf get nodes\n"
                );
            }
            None => text.push_str("Not bootstrapped; a shell: ./lab ssh bootstrap\n"),
        }
        text
    }
}
