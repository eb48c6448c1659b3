//! Where the commands of the manual are run.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use metalk8s_diagnostics::{Diagnosed, Progress, ProgressMode};
use metalk8s_types::Role;
use tempfile::TempDir;

use crate::{
    Lab, LabName, Machine, archive, install,
    machine::quoted,
    procedures::{Book, Facts, Place, Where},
    process::{self, Output},
};

/// Exit code of what could not be run to its end.
const NOT_RUN: i32 = 125;
/// The folder for temporary files, beside the clone.
const SCRATCH: &str = "tmp";

/// The manual, as this repository has it.
pub(in crate::suite) fn book(checkout: &Path) -> Result<Book> {
    Book::read(&checkout.join("tests/procedures")).context("there is no manual")
}

/// The machines of a lab, and what else it may have.
pub(in crate::suite) struct Ground<'a> {
    pub(super) lab: &'a Lab,
    /// The machine that is not part of the cluster.
    pub(super) new_node: &'a str,
    /// The machine of the person who installs.
    pub(super) operator_host: Option<&'a str>,
    /// A clone of this repository.
    pub(super) clone: Option<&'a Clone>,
}

impl Place for Ground<'_> {
    fn run(&self, place: Where, command: &str, deadline: Duration) -> Output {
        self.carry_out(place, command, deadline).unwrap_or_else(|error| Output {
            code: NOT_RUN,
            stdout: String::new(),
            stderr: format!("{error:#}"),
        })
    }
}

impl<'a> Ground<'a> {
    /// Only the Bootstrap node and a new one: a command of another place fails.
    pub(in crate::suite) fn new(lab: &'a Lab, new_node: &'a str) -> Self {
        Self { lab, new_node, operator_host: None, clone: None }
    }

    /// What is known of a lab whose new node gets these roles; it has no other archive, and one member of etcd.
    pub(in crate::suite) fn facts(&self, roles: &[Role]) -> Result<Facts> {
        let (bootstrap, new_node) = (self.lab.bootstrap()?, self.lab.machine(self.new_node)?);
        Ok(Facts {
            version: install::version_of_archive(bootstrap)?,
            node: bootstrap.name.clone(),
            new_node: new_node.name.clone(),
            new_node_ip: new_node.control,
            new_node_roles: roles.to_vec(),
            etcd_members: 1,
            iso: archive::PRODUCT.to_owned(),
            other_iso: String::new(),
            other_version: String::new(),
            control_plane_ip: bootstrap.control,
            control_plane_cidr: self.lab.networks.control.subnet,
            workload_plane_cidr: self.lab.networks.workload.subnet,
        })
    }

    fn carry_out(&self, place: Where, command: &str, deadline: Duration) -> Result<Output> {
        let machine = match place {
            Where::Bootstrap => crate::lab::BOOTSTRAP,
            Where::NewNode => self.new_node,
            Where::OperatorHost => self.operator_host.context("no machine is the one of an operator")?,
            Where::BuildComputer => {
                return self.clone.context("there is no clone that may be changed")?.run(command, deadline);
            }
        };
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
