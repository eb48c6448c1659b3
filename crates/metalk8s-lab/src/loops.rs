//! Loop devices belong to the whole computer: those that a machine leaves behind are detached.

use std::{
    collections::BTreeSet, fs, os::unix::fs::MetadataExt, path::Path, process::Command, time::Duration,
};

use serde::Deserialize;

use crate::{machine::Machine, podman::Podman, process};

const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Debug, Deserialize)]
struct Listed {
    loopdevices: Vec<Loop>,
}

#[derive(Debug, Deserialize)]
struct Loop {
    name: String,
    #[serde(rename = "back-file")]
    file: Option<String>,
    #[serde(rename = "back-ino")]
    inode: Option<u64>,
    #[serde(rename = "back-maj:min")]
    device: Option<String>,
}

/// Detaches the loop devices whose files lie on these machines; best effort, a lab without any has nothing to do.
///
/// A device in use is detached by the kernel as soon as the machine's end gives it up.
pub fn detach(podman: &Podman, machines: &[Machine]) {
    let mut list = Command::new("losetup");
    list.args(["--list", "--json", "--output", "NAME,BACK-FILE,BACK-INO,BACK-MAJ:MIN"]);
    let Ok(output) = process::capture(&mut list, None, DEADLINE) else { return };
    // Without any device the answer is empty.
    let Ok(listed) = serde_json::from_str::<Listed>(&output.stdout) else { return };
    let roots: BTreeSet<_> = machines.iter().filter_map(root_device).collect();
    let volumes: Vec<_> = machines.iter().filter_map(|machine| var_folder(podman, machine)).collect();
    for device in listed.loopdevices {
        let on_root = device.device.as_ref().is_some_and(|found| roots.contains(found.trim()));
        if on_root || volumes.iter().any(|folder| is_in(&device, Path::new(folder))) {
            let _ =
                process::capture(Command::new("losetup").args(["--detach", &device.name]), None, DEADLINE);
        }
    }
}

/// The number of the device that a machine's root is, as `losetup` prints it; a machine that is off has none.
fn root_device(machine: &Machine) -> Option<String> {
    let output = machine.run_for("mountpoint --fs-devno /", DEADLINE).ok()?;
    output.success().then(|| output.stdout.trim().to_owned())
}

fn var_folder(podman: &Podman, machine: &Machine) -> Option<String> {
    let volume = format!("{}-var", machine.container);
    Some(podman.run(["volume", "inspect", "--format", "{{.Mountpoint}}", &volume]).ok()?.trim().to_owned())
}

/// Whether the device's file, which the machine knows below /var, is the one in this folder.
fn is_in(device: &Loop, folder: &Path) -> bool {
    let (Some(file), Some(inode)) = (&device.file, device.inode) else { return false };
    let Ok(below) = Path::new(file).strip_prefix("/var") else { return false };
    fs::symlink_metadata(folder.join(below)).is_ok_and(|found| found.ino() == inode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_told_by_its_file_and_inode() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("disk"), "").unwrap();
        let inode = fs::metadata(folder.path().join("disk")).unwrap().ino();
        let device = |file: &str, inode| Loop {
            name: "/dev/loop9".to_owned(),
            file: Some(file.to_owned()),
            inode: Some(inode),
            device: None,
        };
        assert!(is_in(&device("/var/disk", inode), folder.path()));
        assert!(!is_in(&device("/var/disk", inode + 1), folder.path()), "another file of that name");
        assert!(!is_in(&device("/home/disk", inode), folder.path()), "not of a machine");
    }
}
