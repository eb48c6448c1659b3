//! Where the commands of the manual are run.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Result, ensure};
use metalk8s_diagnostics::{Diagnosed, Progress, ProgressMode};
use tempfile::TempDir;

use crate::{
    Lab, LabName, Machine,
    machine::quoted,
    procedures::{Place, Where},
    process::{self, Output},
};

/// Exit code of what could not be run to its end.
const NOT_RUN: i32 = 125;
/// The folder for temporary files, beside the clone.
const SCRATCH: &str = "tmp";

/// The machines of a lab, and a clone of this repository.
pub(super) struct Ground<'a> {
    pub(super) lab: &'a Lab,
    /// The machine of the person who installs.
    pub(super) operator_host: &'a str,
    pub(super) clone: &'a Clone,
}

impl Place for Ground<'_> {
    fn run(&self, place: Where, command: &str, deadline: Duration) -> Output {
        let result = match place {
            Where::Bootstrap => self.on(crate::lab::BOOTSTRAP, command, deadline),
            Where::NewNode => self.on(super::NEW_NODE, command, deadline),
            Where::OperatorHost => self.on(self.operator_host, command, deadline),
            Where::BuildComputer => self.clone.run(command, deadline),
        };
        result.unwrap_or_else(|error| Output {
            code: NOT_RUN,
            stdout: String::new(),
            stderr: format!("{error:#}"),
        })
    }
}

impl Ground<'_> {
    fn on(&self, machine: &str, command: &str, deadline: Duration) -> Result<Output> {
        Ok(self.lab.machine(machine)?.run_for(command, deadline)?)
    }
}

/// A clone of this repository that may be changed, and the lab that its commands make; both go away with this value.
pub(super) struct Clone {
    folder: TempDir,
    lab: LabName,
}

impl Clone {
    pub(super) fn make(checkout: &Path, lab: LabName) -> Result<Self> {
        // What a run that was killed has left.
        Lab::down(&lab, &Progress::new(ProgressMode::Quiet, None)).map_err(Diagnosed::new)?;
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join(SCRATCH))?;
        let mut command = Command::new("git");
        command
            .args(["clone", "--quiet", "--no-hardlinks"])
            .arg(checkout)
            .arg(folder.path().join("metalk8s"));
        let output = process::capture(&mut command, None, Duration::from_secs(120))?;
        ensure!(output.success(), "git clone ended with {}: {}", output.code, output.stderr);
        Ok(Self { folder, lab })
    }

    fn run(&self, command: &str, deadline: Duration) -> Result<Output> {
        let mut shell = Command::new("bash");
        shell.args(["-c", command]).current_dir(self.folder.path().join("metalk8s"));
        // The clone is another repository than the one this program was called from.
        shell.env_remove("METALK8S_CHECKOUT").env_remove("METALK8S_RESULTS");
        shell.env("METALK8S_LAB", self.lab.as_str());
        // What a command makes there goes away with the clone.
        shell.env("TMPDIR", self.folder.path().join(SCRATCH));
        Ok(process::capture(&mut shell, None, deadline)?)
    }
}

impl Drop for Clone {
    fn drop(&mut self) {
        // What stays is found by its label and removed by the next run.
        let _ = Lab::down(&self.lab, &Progress::new(ProgressMode::Quiet, None));
    }
}

/// Lets a machine log in to all others as root, and tells it their names and host keys.
pub(super) fn make_operator_host(lab: &Lab, operator: &Machine) -> Result<()> {
    let key = operator.run_checked(
        "install -d -m 700 /root/.ssh && ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519 && cat /root/.ssh/id_ed25519.pub",
    )?;
    for other in lab.machines.iter().filter(|other| other.name != operator.name) {
        other.run_checked(&format!(
            "install -d -m 700 /root/.ssh && echo {} >> /root/.ssh/authorized_keys && chmod 600 /root/.ssh/authorized_keys",
            quoted(&key)
        ))?;
        operator.run_checked(&format!(
            "echo {address} {name} >> /etc/hosts && ssh-keyscan -T 20 {name} {address} >> /root/.ssh/known_hosts 2> /dev/null && \
             ssh -o BatchMode=yes {name} true",
            address = other.control,
            name = other.name,
        ))?;
    }
    Ok(())
}
