//! Processes of pods, as the kernel shows them: what containerd is asked for ends with containerd.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use metalk8s_engine::{Change, ChangeKind, StateError};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::{Host, doing::Doing};

/// The program that holds the containers of one pod.
const SHIM: &str = "containerd-shim-runc-v2";
/// The namespace of containerd that pods are in.
const NAMESPACE: &str = "k8s.io";
/// What the kubelet's control groups are called, with both of its drivers.
const CGROUP: &str = "kubepods";
/// How long killed processes have to be gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    is_shim: bool,
    /// Whether it is in a control group of pods, in which this program is not.
    is_of_pod: bool,
}

pub(crate) fn check(host: &Host) -> Result<Option<Change>, StateError> {
    let processes = processes(host)?;
    let (shims, all) =
        (processes.iter().filter(|process| process.is_shim).count(), of_pods(&processes).len());
    Ok((all > 0).then(|| {
        Change::new(ChangeKind::Remove, format!("end {shims} pods with their {} processes", all - shims))
    }))
}

pub(crate) async fn end(host: &Host) -> Result<(), StateError> {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = of_pods(&processes(host)?);
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(StateError::new(format!("{} processes of pods do not end", left.len())));
        }
        for pid in left.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            // One that has ended meanwhile is what is wished for.
            let _ = kill_process(pid, Signal::KILL);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Processes of pods; the shims come last, since they are what tells the others. Pure.
fn of_pods(processes: &[Process]) -> Vec<i32> {
    let shims: BTreeSet<i32> = processes.iter().filter(|one| one.is_shim).map(|one| one.pid).collect();
    let mut inside: BTreeSet<i32> = processes.iter().filter(|one| one.is_of_pod).map(|one| one.pid).collect();
    loop {
        let known = inside.len();
        let below = |one: &&Process| shims.contains(&one.parent) || inside.contains(&one.parent);
        let found: Vec<i32> = processes.iter().filter(below).map(|one| one.pid).collect();
        inside.extend(found);
        if inside.len() == known {
            break;
        }
    }
    let (first, last): (Vec<i32>, Vec<i32>) = inside.union(&shims).partition(|pid| !shims.contains(pid));
    first.into_iter().chain(last).collect()
}

fn processes(host: &Host) -> Result<Vec<Process>, StateError> {
    let proc = host.real(Path::new("/proc"))?;
    let own_groups = fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
    let counts_groups = !own_groups.contains(CGROUP);
    let entries = match fs::read_dir(&proc) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.doing(|| "could not list the processes".to_owned())?,
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let read = |pid: i32| {
        let folder = proc.join(pid.to_string());
        // A process that has ended meanwhile has no files.
        let parent = parent(&fs::read_to_string(folder.join("stat")).ok()?)?;
        let words = fs::read(folder.join("cmdline")).ok()?;
        let groups = fs::read_to_string(folder.join("cgroup")).unwrap_or_default();
        let is_of_pod = counts_groups && groups.contains(CGROUP);
        Some(Process { pid, parent, is_shim: is_shim(&words), is_of_pod })
    };
    Ok(pids.filter_map(read).collect())
}

/// The parent, by proc_pid_stat(5). A program's name is in parentheses, and may have some itself. A process that
/// has ended and waits for its parent to look is none any more.
fn parent(stat: &str) -> Option<i32> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.next()?.parse().ok()
}

fn is_shim(words: &[u8]) -> bool {
    let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
    let is_program = words.first().is_some_and(|word| word.ends_with(SHIM.as_bytes()));
    is_program && words.windows(2).any(|pair| pair == [&b"-namespace"[..], NAMESPACE.as_bytes()])
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        os::unix::{
            fs::symlink,
            process::{CommandExt, ExitStatusExt},
        },
        process::{Command, Stdio},
    };

    use metalk8s_engine::{State, state::Removed};

    use super::*;
    use crate::testing::Lab;

    fn process(pid: i32, parent: i32) -> Process {
        Process { pid, parent, is_shim: false, is_of_pod: false }
    }

    #[test]
    fn all_below_a_shim_ends_before_it_and_nothing_else() {
        let processes = [
            process(1, 0),
            Process { is_shim: true, ..process(20, 1) },
            process(21, 20),
            process(300, 21),
            process(22, 1),
            Process { is_of_pod: true, ..process(40, 1) },
            process(41, 40),
        ];
        let ended = of_pods(&processes);
        assert_eq!(ended.last(), Some(&20));
        assert_eq!(ended.into_iter().collect::<BTreeSet<_>>(), [20, 21, 300, 40, 41].into());
    }

    #[test]
    fn processes_are_read_as_the_kernel_shows_them() {
        let lab = Lab::new();
        let add = |pid: i32, stat: &str, words: &str, group: &str| {
            lab.file(&format!("/proc/{pid}/stat"), stat);
            lab.file(&format!("/proc/{pid}/cmdline"), words);
            lab.file(&format!("/proc/{pid}/cgroup"), group);
        };
        lab.file("/proc/self/cgroup", "0::/system.slice/x.service\n");
        add(
            7,
            "7 (a (b) c) S 1 7 7",
            "/usr/bin/containerd-shim-runc-v2\0-namespace\0k8s.io\0-id\0x\0",
            "0::/\n",
        );
        add(8, "8 (pause) S 7 8 8", "/pause\0", "0::/kubepods.slice/x\n");
        add(9, "9 (x) Z 7 8 8", "", "0::/kubepods.slice/x\n");
        add(10, "10 (shim) S 1 8 8", "containerd-shim-runc-v2\0-namespace\0moby\0", "0::/\n");
        assert_eq!(of_pods(&processes(&lab.host).unwrap()), [8, 7]);
        assert_eq!(check(&lab.host).unwrap().unwrap().summary, "end 1 pods with their 1 processes");
        // Inside of a pod everything is in its groups, also what is no part of it.
        lab.file("/proc/self/cgroup", "0::/kubepods.slice/outer\n");
        lab.file("/proc/11/stat", "11 (sh) S 1 1 1");
        lab.file("/proc/11/cmdline", "sh\0");
        lab.file("/proc/11/cgroup", "0::/kubepods.slice/outer\n");
        assert_eq!(of_pods(&processes(&lab.host).unwrap()), [8, 7]);
    }

    #[tokio::test]
    async fn pods_end_with_all_their_processes_and_others_stay() {
        // A new process has the words of the shim until it is another program, and tells its number then. As a
        // shim does, this one outlives what is below it: it reads a pipe that stays open.
        let mut shim = Command::new("bash")
            .arg0(SHIM)
            .args(["-c", "bash -c 'echo $$; exec sleep 60' & read -r", "-namespace", NAMESPACE])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut inside = String::new();
        BufReader::new(shim.stdout.take().unwrap()).read_line(&mut inside).unwrap();
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();

        // Of all processes of this computer, the host sees these, as the kernel shows them.
        let lab = Lab::new();
        fs::create_dir(lab.path("/proc")).unwrap();
        let pids = [shim.id().to_string(), inside.trim().to_owned(), other.id().to_string()];
        for name in pids.iter().map(String::as_str).chain(["self"]) {
            symlink(Path::new("/proc").join(name), lab.path("/proc").join(name)).unwrap();
        }
        let change = lab.settles(&State::Removed(Removed::Containers)).await;
        assert_eq!(change.summary, "end 1 pods with their 1 processes");
        assert_eq!(shim.wait().unwrap().signal(), Some(Signal::KILL.as_raw()));
        assert_eq!(other.try_wait().unwrap(), None, "it is of no pod");
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn a_machine_without_pods_has_nothing_to_end() {
        assert_eq!(check(&Lab::new().host).unwrap(), None);
    }
}
