//! The first process of a running machine, whose namespaces and control groups a command is put into.
//!
//! The container engine's own way starts podman, conmon and runc for each command: about a fifth of all processor time
//! of the suites went into it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use procfs::{
    ProcResult,
    process::{MountInfo, Process},
};

/// The environment of a root shell, and nothing of whoever calls.
pub(crate) const ENVIRONMENT: [&str; 4] = [
    "HOME=/root",
    "LANG=C.UTF-8",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "TERM=xterm",
];
/// The namespaces that a machine has of its own (namespaces(7)); the user's is that of the computer.
const NAMESPACES: [&str; 6] = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"];
/// Joins the control groups that are named first, up to `--`, so that limits of the machine hold for what is run.
const JOIN: &str =
    "until [ \"$1\" = -- ]; do echo $$ > \"$1/cgroup.procs\" || exit 125; shift; done; shift; exec \"$@\"";

/// The first process of a machine, as this computer sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Init {
    pid: i32,
    /// In ticks since the computer's boot: another process may have its number one day.
    started: u64,
}

impl Init {
    /// The machine whose first process has this number.
    ///
    /// # Errors
    /// When the process is not there (any more), or cannot be looked at.
    pub(crate) fn new(pid: i32) -> ProcResult<Self> {
        Ok(Self { pid, started: Process::new(pid)?.stat()?.starttime })
    }

    /// Whether the machine runs that it was made of.
    pub(crate) fn is_alive(&self) -> bool {
        let started = Process::new(self.pid).and_then(|process| process.stat()).map(|stat| stat.starttime);
        started.is_ok_and(|started| started == self.started)
    }

    /// A shell command, to be run as root in the machine. It has no terminal, as if nobody had logged in.
    ///
    /// # Errors
    /// When the process is not there any more, or cannot be looked at.
    pub(crate) fn shell(&self, command: &str) -> ProcResult<Command> {
        let mut call = Command::new("setsid");
        call.args(["sh", "-c", JOIN, "sh"]).args(self.groups()?).arg("--");
        call.args(["nsenter", "--target", &self.pid.to_string()]).args(NAMESPACES).arg("--");
        call.args(["env", "--ignore-environment", "--chdir=/root"]).args(ENVIRONMENT);
        call.args(["bash", "-c", command]);
        Ok(call)
    }

    /// Its control groups; while a machine boots it moves to others.
    fn groups(&self) -> ProcResult<Vec<PathBuf>> {
        let mounts = Process::myself()?.mountinfo()?;
        let groups = Process::new(self.pid)?.cgroups()?;
        let folders = groups.into_iter().filter_map(|group| {
            let mount = mounts.0.iter().find(|mount| has_hierarchy(mount, &group.controllers))?;
            Some(below(&mount.mount_point, &group.pathname))
        });
        Ok(folders.collect())
    }
}

/// Whether that is where a hierarchy of control groups is mounted: the one of these controllers, or without any the
/// unified one (cgroups(7)).
fn has_hierarchy(mount: &MountInfo, controllers: &[String]) -> bool {
    let is_unified = controllers.iter().all(String::is_empty);
    match mount.fs_type.as_str() {
        "cgroup2" => is_unified,
        "cgroup" if !is_unified => controllers.iter().all(|controller| {
            let named = controller.strip_prefix("name=");
            match named {
                Some(name) => {
                    mount.super_options.get("name").is_some_and(|found| found.as_deref() == Some(name))
                }
                None => mount.super_options.contains_key(controller),
            }
        }),
        _ => false,
    }
}

fn below(mount_point: &Path, group: &str) -> PathBuf {
    mount_point.join(group.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use procfs::FromRead as _;

    use super::*;

    fn mounts(text: &str) -> Vec<MountInfo> {
        procfs::process::MountInfos::from_read(text.as_bytes()).unwrap().0
    }

    #[test]
    fn a_hierarchy_is_where_its_controllers_are() {
        let mounts = mounts(
            "25 20 0:22 / /sys rw - sysfs sysfs rw\n\
             27 25 0:24 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
             28 25 0:25 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             29 25 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n",
        );
        let found = |controllers: &[&str]| {
            let controllers: Vec<String> = controllers.iter().map(|&name| name.to_owned()).collect();
            let mount = mounts.iter().find(|mount| has_hierarchy(mount, &controllers));
            mount.map(|mount| mount.mount_point.to_string_lossy().into_owned())
        };
        assert_eq!(found(&[""]).unwrap(), "/sys/fs/cgroup/unified");
        assert_eq!(found(&[]).unwrap(), "/sys/fs/cgroup/unified");
        assert_eq!(found(&["name=systemd"]).unwrap(), "/sys/fs/cgroup/systemd");
        assert_eq!(found(&["cpu", "cpuacct"]).unwrap(), "/sys/fs/cgroup/cpu,cpuacct");
        assert_eq!(found(&["memory"]), None);
        assert_eq!(below(Path::new("/sys/fs/cgroup"), "/a/b"), Path::new("/sys/fs/cgroup/a/b"));
    }

    #[test]
    fn what_is_run_leaves_the_callers_environment_and_folder() {
        let init = Init::new(std::process::id().cast_signed()).unwrap();
        assert!(init.is_alive());
        assert!(!Init { started: init.started - 1, ..init }.is_alive());
        let command = init.shell("echo it's").unwrap();
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        let end = words.iter().position(|word| word == "nsenter").unwrap();
        assert_eq!(words[end - 1], "--");
        assert_eq!(words[words.len() - 3..], ["bash", "-c", "echo it's"]);
        assert!(words.iter().any(|word| word == "--ignore-environment"), "{words:?}");
    }
}
