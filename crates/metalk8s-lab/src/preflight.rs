//! What a computer must have before a lab is made on it; nothing is changed here.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use metalk8s_diagnostics::{Diagnose, Hint};

use crate::{
    cache::{Cache, CacheError},
    podman::{Podman, PodmanError},
};

/// Programs that a lab needs, and the Debian packages that have them; the same as in `scripts/doors/prepare`.
const PROGRAMS: &[(&str, &str)] = &[
    ("debootstrap", "debootstrap"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("losetup", "mount"),
    ("podman", "podman"),
    ("runc", "runc"),
    ("tar", "tar"),
];
const GIB: u64 = 1 << 30;
/// The bootstrapped machine with all its services, while it starts.
const MEMORY_OF_FIRST: u64 = 3 * GIB;
/// Each further machine.
const MEMORY_OF_OTHERS: u64 = GIB;
/// An unpacked machine image, an archive, and the images of the first machine.
const DISK: u64 = 6 * GIB;

/// What stands in the way, all of it at once.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// Something is missing.
    #[error("{}", missing.iter().map(Missing::to_string).collect::<Vec<_>>().join("\n"))]
    Missing {
        /// Everything that is.
        missing: Vec<Missing>,
    },
    /// The cache cannot be used.
    #[error("could not use the cache")]
    Cache(#[from] CacheError),
    /// The container engine does not answer.
    #[error("the container engine does not work")]
    Podman(#[from] PodmanError),
}

/// One thing that a computer lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// The caller is not root.
    #[error("a lab needs root: its machines mount file systems and set up networks")]
    Root,
    /// A program is not installed.
    #[error("the program `{program}` is not installed")]
    Program {
        /// Its name.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A device of the kernel is not there.
    #[error("`{path}` is not there, so machines could not mount an archive")]
    Device {
        /// The device.
        path: &'static str,
    },
    /// Not enough memory.
    #[error("{machines} machines need {} GiB of memory, and this computer has {:.1}", needed / GIB, *found as f64 / GIB as f64)]
    Memory {
        /// How many were asked for.
        machines: u8,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that there are in all.
        found: u64,
    },
    /// Not enough room.
    #[error("a lab needs {} GiB of disk at `{path}`, and {:.1} are free", needed / GIB, *found as f64 / GIB as f64)]
    Disk {
        /// Where.
        path: PathBuf,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        found: u64,
    },
}

impl Diagnose for PreflightError {
    fn hints(&self) -> Vec<Hint> {
        let Self::Missing { missing } = self else { return Vec::new() };
        let packages: Vec<_> = missing
            .iter()
            .filter_map(|one| match one {
                Missing::Program { package, .. } => Some(*package),
                _ => None,
            })
            .collect();
        let mut hints = Vec::new();
        if missing.contains(&Missing::Root) {
            hints.push("become root, for example `sudo --preserve-env=PATH ./lab up`".into());
        }
        if !packages.is_empty() {
            hints.push(format!("`apt-get update && apt-get install --yes {}`", packages.join(" ")).into());
        }
        if missing.iter().any(|one| matches!(one, Missing::Disk { .. })) {
            hints.push(
                "`./lab list` tells which labs there are; `./lab down --lab NAME` frees their room".into(),
            );
        }
        hints
    }
}

/// Checks the computer for a lab of so many machines.
pub fn check(cache: &Cache, podman: &Podman, machines: u8) -> Result<(), PreflightError> {
    let mut missing = Vec::new();
    if !rustix::process::geteuid().is_root() {
        missing.push(Missing::Root);
    }
    let folders = search_path(env::var_os("PATH").as_deref());
    missing.extend(
        PROGRAMS
            .iter()
            .filter(|(program, _)| !installed(program, &folders))
            .map(|&(program, package)| Missing::Program { program, package }),
    );
    for path in ["/dev/fuse", "/dev/loop-control"] {
        if !Path::new(path).exists() {
            missing.push(Missing::Device { path });
        }
    }
    let needed = MEMORY_OF_FIRST + MEMORY_OF_OTHERS * u64::from(machines.saturating_sub(1));
    let found = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_memory(&text));
    if let Some(found) = found.filter(|found| *found < needed) {
        missing.push(Missing::Memory { machines, needed, found });
    }
    if !missing.is_empty() {
        return Err(PreflightError::Missing { missing });
    }
    // The engine's storage is asked for only now, when it is known to be there.
    let storage = podman.run(["info", "--format", "{{.Store.GraphRoot}}"])?;
    for path in [PathBuf::from(storage.trim()), cache.folder("machine")?] {
        let Ok(found) = rustix::fs::statvfs(&path) else { continue };
        let found = found.f_bavail * found.f_frsize;
        if found < DISK {
            return Err(PreflightError::Missing {
                missing: vec![Missing::Disk { path, needed: DISK, found }],
            });
        }
    }
    Ok(())
}

fn search_path(path: Option<&std::ffi::OsStr>) -> Vec<PathBuf> {
    let system = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    path.map(env::split_paths).into_iter().flatten().chain(system).collect()
}

fn installed(program: &str, folders: &[PathBuf]) -> bool {
    folders.iter().any(|folder| folder.join(program).is_file())
}

fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_read_in_bytes() {
        assert_eq!(total_memory("MemTotal:       24627712 kB\nMemFree: 1 kB\n"), Some(24_627_712 * 1024));
        assert_eq!(total_memory("nothing"), None);
    }

    #[test]
    fn all_missing_packages_are_named_in_one_command() {
        let program = |program, package| Missing::Program { program, package };
        let error =
            PreflightError::Missing { missing: vec![program("podman", "podman"), program("ip", "iproute2")] };
        assert_eq!(error.hints(), [Hint::from("`apt-get update && apt-get install --yes podman iproute2`")]);
        assert_eq!(error.to_string().lines().count(), 2);
    }

    #[test]
    fn the_door_installs_the_programs_that_are_asked_for() {
        let door = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/doors/prepare");
        let door = fs::read_to_string(door).unwrap();
        let (_, list) = door.split_once("\nlab=(").unwrap();
        let (list, _) = list.split_once(')').unwrap();
        let installed: Vec<_> = list.split_whitespace().map(|pair| pair.split_once(':').unwrap()).collect();
        assert_eq!(PROGRAMS, installed);
    }

    #[test]
    fn programs_are_looked_for_in_every_folder() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tool"), "").unwrap();
        let folders = search_path(Some(folder.path().as_os_str()));
        assert!(installed("tool", &folders) && !installed("other-tool-that-is-nowhere", &folders));
    }
}
