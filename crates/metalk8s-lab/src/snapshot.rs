//! Snapshots of a lab: all its machines as they were at one moment, to go back to (DEV-03).
//!
//! A machine is its root folder, kept as an image, and its volume, kept as another volume. Both carry the lab's
//! label, so they end with the lab.

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use metalk8s_diagnostics::{Diagnose, Diagnosed, Hint, Progress};
use serde::Deserialize;

use crate::{
    lab::{self, LabError, LabName},
    machine::{Machine, MachineError},
    network::Networks,
    podman::{LAB_LABEL, Podman, PodmanError},
    process::{self, RunError},
};

/// Label of the parts of a snapshot: its name.
const SNAPSHOT_LABEL: &str = "com.metalk8s.snapshot";
const DEADLINE: Duration = Duration::from_secs(900);

/// Why there is no snapshot, or no way back.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The container engine refused.
    #[error("could not keep or bring back a machine")]
    Podman(#[from] PodmanError),
    /// A machine could not be shut down or started.
    #[error("could not shut down or start a machine")]
    Machine(#[source] Diagnosed),
    /// A volume could not be copied.
    #[error("could not copy the volume of the machine `{machine}`")]
    Copy {
        /// The machine.
        machine: String,
        /// Why not.
        #[source]
        source: RunError,
    },
    /// A volume could not be copied.
    #[error("could not copy the volume of the machine `{machine}`: {reason}")]
    Refused {
        /// The machine.
        machine: String,
        /// What `cp` said.
        reason: String,
    },
    /// There is no snapshot of this name.
    #[error("the machine `{machine}` has no snapshot `{name}`")]
    Absent {
        /// The machine.
        machine: String,
        /// The name.
        name: String,
    },
}

impl Diagnose for SnapshotError {
    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Absent { name, .. } => vec![format!("`./lab snapshot {name}` makes one").into()],
            _ => Vec::new(),
        }
    }
}

impl From<MachineError> for SnapshotError {
    fn from(error: MachineError) -> Self {
        Self::Machine(Diagnosed::new(error))
    }
}

impl From<SnapshotError> for LabError {
    fn from(error: SnapshotError) -> Self {
        Self::Snapshot(Diagnosed::new(error))
    }
}

/// Shuts all machines down, keeps them under this name (in place of a former snapshot), and starts them again.
pub(crate) fn take(
    podman: &Podman,
    lab: &LabName,
    machines: &[Machine],
    name: &LabName,
    progress: &Progress,
) -> Result<(), SnapshotError> {
    for machine in machines {
        let step = progress.step(format!("Keeping the machine {} as {name}", machine.name));
        machine.shut_down()?;
        let kept = Kept::of(machine, lab, name);
        let labels = [format!("{LAB_LABEL}={lab}"), format!("{SNAPSHOT_LABEL}={name}")];
        if podman.exists("volume", &kept.volume)? {
            podman.run(["volume", "rm", &kept.volume])?;
        }
        podman.run(["volume", "create", "--label", &labels[0], "--label", &labels[1], &kept.volume])?;
        copy(podman, machine, &volume_of(machine), &kept.volume)?;
        // The image comes last: a snapshot that has it is complete.
        let changes = [format!("LABEL {}", labels[0]), format!("LABEL {}", labels[1])];
        let kind = "LABEL com.metalk8s.image=snapshot";
        podman.run(
            ["commit", "--quiet", "--change", &changes[0], "--change", &changes[1], "--change", kind]
                .into_iter()
                .chain([machine.container.as_str(), &kept.image]),
        )?;
        step.done();
    }
    machines.iter().try_for_each(Machine::start)?;
    Ok(())
}

/// Puts all machines back to where they were when the snapshot was made, and starts them.
pub(crate) fn restore(
    podman: &Podman,
    lab: &LabName,
    networks: &Networks,
    machines: &[Machine],
    name: &LabName,
    progress: &Progress,
) -> Result<(), SnapshotError> {
    for machine in machines {
        let kept = Kept::of(machine, lab, name);
        if !podman.exists("image", &kept.image)? {
            return Err(SnapshotError::Absent { machine: machine.name.clone(), name: name.to_string() });
        }
    }
    for machine in machines {
        let step = progress.step(format!("Bringing back the machine {} as in {name}", machine.name));
        let kept = Kept::of(machine, lab, name);
        podman.run(["rm", "--force", "--time", "0", "--ignore", &machine.container])?;
        lab::create(podman, lab, networks, machine, &kept.image)?;
        copy(podman, machine, &kept.volume, &volume_of(machine))?;
        machine.start()?;
        step.done();
    }
    Ok(())
}

/// Removes the images of all snapshots of a lab; the volumes go with the others.
///
/// Their labels are compared here: the engine takes several filters as alternatives, and would give those of all
/// labs, whose machines end with their image.
pub(crate) fn remove_images(podman: &Podman, lab: &LabName) -> Result<(), PodmanError> {
    let filter = format!("label={SNAPSHOT_LABEL}");
    let found: Option<Vec<ListedImage>> = podman.query(&["images", "--filter", &filter])?;
    for image in found.unwrap_or_default() {
        if image.labels.get(LAB_LABEL).map(String::as_str) == Some(lab.as_str()) {
            podman.run(["rmi", "--force", &image.id])?;
        }
    }
    Ok(())
}

/// What the container engine tells of an image.
#[derive(Debug, Deserialize)]
struct ListedImage {
    #[serde(rename = "Id")]
    id: String,
    #[serde(rename = "Labels", default)]
    labels: BTreeMap<String, String>,
}

struct Kept {
    image: String,
    volume: String,
}

impl Kept {
    fn of(machine: &Machine, lab: &LabName, name: &LabName) -> Self {
        Self {
            image: format!("localhost/metalk8s-snapshot/{lab}/{}:{name}", machine.name),
            volume: format!("{}-{name}", volume_of(machine)),
        }
    }
}

fn volume_of(machine: &Machine) -> String {
    format!("{}-var", machine.container)
}

/// Copies everything with owners, devices and attributes: containerd's layers are made of them.
fn copy(podman: &Podman, machine: &Machine, from: &str, to: &str) -> Result<(), SnapshotError> {
    let folder = |volume| podman.run(["volume", "inspect", "--format", "{{.Mountpoint}}", volume]);
    let (from, to) = (folder(from)?, folder(to)?);
    let mut command = Command::new("cp");
    command.args(["--archive", "--reflink=auto", "--sparse=auto"]);
    command.arg(Path::new(from.trim()).join(".")).arg(to.trim());
    let output = process::capture(&mut command, None, DEADLINE)
        .map_err(|source| SnapshotError::Copy { machine: machine.name.clone(), source })?;
    if output.success() {
        return Ok(());
    }
    Err(SnapshotError::Refused { machine: machine.name.clone(), reason: output.stderr.trim().to_owned() })
}
