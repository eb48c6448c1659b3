//! The process of a job, with all that it starts: a session of its own (setsid(2)).

use std::{fs, io, thread, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

/// How often a session is looked through for what was started meanwhile, and the time in between.
const SWEEPS: usize = 50;
const BETWEEN: Duration = Duration::from_millis(5);
/// How long what a job has left may go on, how long it has to end when it is asked to, and how often it is looked
/// whether it has. Packages may be being installed.
const FINISH: Duration = Duration::from_secs(30);
const MEND: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);

/// A process that cannot be mistaken for a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// Ticks after the boot at which it was started: field 22 of proc_pid_stat(5).
    pub(crate) started: u64,
}

/// What of proc_pid_stat(5) is of use.
struct Stat {
    is_zombie: bool,
    session: u32,
    started: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in brackets may hold anything, also brackets and blanks.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Self {
            is_zombie: *fields.first()? == "Z",
            session: fields.get(3)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

impl Process {
    /// The process of this number, if it lives.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = Stat::of(pid).filter(|stat| !stat.is_zombie)?;
        Some(Self { pid, started: stat.started })
    }

    /// Whether it lives still.
    pub(crate) fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Asks it and all of its session to end. What has ended meanwhile is left alone.
    pub(crate) fn ask_to_end(self) -> io::Result<()> {
        if self.is_alive() { signal_all(self.pid, Signal::TERM).map(drop) } else { Ok(()) }
    }

    /// Waits for what it has started and left when it ended, and ends that, where it does not end by itself.
    pub(crate) async fn end_orphans(self) {
        self.end_orphans_within(FINISH, MEND).await;
    }

    async fn end_orphans_within(self, finish: Duration, mend: Duration) {
        let is_left = || self.orphans().is_ok_and(|left| !left.is_empty());
        for (patience, signal) in [(finish, Signal::TERM), (mend, Signal::KILL), (mend, Signal::KILL)] {
            let end = Instant::now() + patience;
            while is_left() {
                if Instant::now() > end {
                    break;
                }
                sleep(LOOK).await;
            }
            for pid in self.orphans().unwrap_or_default() {
                tracing::warn!(pid, ?signal, "ending what a job has left");
                if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                    // It may have ended in between.
                    let _ = kill_process(pid, signal);
                }
            }
        }
    }

    /// The other processes of its session, once it has ended. As long as there is one, no other session has its number;
    /// but where there is none, a later process may.
    fn orphans(self) -> io::Result<Vec<u32>> {
        match Stat::of(self.pid) {
            Some(stat) if !stat.is_zombie => Ok(Vec::new()),
            _ => members(self.pid),
        }
    }

    /// Ends it and all of its session at once, also what is being started at this moment.
    pub(crate) fn end(self) -> io::Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        // A process that is killed while it starts another ends only after that.
        let mut was_alive = true;
        for _ in 0..SWEEPS {
            let count = signal_all(self.pid, Signal::KILL)?;
            if count == 0 && !was_alive {
                break;
            }
            was_alive = self.is_alive();
            thread::sleep(BETWEEN);
        }
        Ok(())
    }
}

/// Sends a signal to the leader of a session, which would start others, and then to the rest; returns how many
/// of them were there.
fn signal_all(session: u32, signal: Signal) -> io::Result<usize> {
    let mut count = 0;
    for pid in std::iter::once(session).chain(members(session)?) {
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { continue };
        match kill_process(pid, signal) {
            Ok(()) if pid.as_raw_nonzero().get().unsigned_abs() != session => count += 1,
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(count)
}

/// The other processes of a session that are no zombies; none where the process leads none.
fn members(session: u32) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        if pid != session && Stat::of(pid).is_some_and(|stat| stat.session == session && !stat.is_zombie) {
            found.push(pid);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::process::CommandExt,
        process::{Child, Command, Stdio},
        time::Instant as Clock,
    };

    use super::*;

    /// Runs a script that leads a session, as a job does, and prints the number of a process that it has started:
    /// what waits for it, who leads the session, and that process.
    fn session(script: &str) -> (Child, Process, Process) {
        let mut command = Command::new("setsid");
        let mut child = command
            .args(["--wait", "bash", "-c", script])
            .stderr(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        let started = Process::of(line.trim().parse().unwrap()).unwrap();
        let leader = Process::of(Stat::of(started.pid).unwrap().session).unwrap();
        assert_ne!(leader.pid, child.id());
        (child, leader, started)
    }

    fn ends(process: Process) {
        let end = Clock::now() + Duration::from_secs(20);
        while process.is_alive() {
            assert!(Clock::now() < end, "it lives still");
            thread::sleep(LOOK);
        }
    }

    #[test]
    fn what_a_process_started_in_a_group_of_its_own_ends_with_it() {
        let (mut child, leader, sleeping) = session("set -m; sleep 4322 & echo $!; wait");
        leader.end().unwrap();
        child.wait().unwrap();
        ends(sleeping);
        leader.end().unwrap();
    }

    #[tokio::test]
    async fn what_a_process_has_left_is_waited_for_and_then_ended() {
        let (mut child, leader, sleeping) = session("trap '' TERM; sleep 4323 & echo $!; wait");
        assert!(leader.orphans().unwrap().is_empty(), "it lives");
        kill_process(Pid::from_raw(i32::try_from(leader.pid).unwrap()).unwrap(), Signal::KILL).unwrap();
        child.wait().unwrap();
        assert_eq!(leader.orphans().unwrap(), [sleeping.pid]);
        let finish = Duration::from_millis(200);
        let waited = tokio::time::timeout(finish / 2, leader.end_orphans_within(finish, finish)).await;
        assert!(waited.is_err() && sleeping.is_alive(), "it may be about to end");
        leader.end_orphans_within(finish, finish).await;
        ends(sleeping);
    }

    #[test]
    fn a_process_that_leads_no_session_is_not_mistaken_for_one() {
        assert_eq!(members(std::process::id()).unwrap(), [0_u32; 0]);
    }
}
