//! The process of a job, with all that it starts: a session of its own (setsid(2)).

use std::{fs, io};

use rustix::process::{Pid, Signal, kill_process};

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

    /// Sends a signal to it and to all of its session. What has ended meanwhile is left alone.
    pub(crate) fn signal(self, signal: Signal) -> io::Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        // The first is the one that would start others.
        let members = std::iter::once(self.pid).chain(members(self.pid)?);
        for pid in members {
            let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { continue };
            match kill_process(pid, signal) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// The other processes of a session; none where the process leads none.
fn members(session: u32) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        if pid != session && Stat::of(pid).is_some_and(|stat| stat.session == session) {
            found.push(pid);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::process::CommandExt,
        process::{Command, Stdio},
        thread,
        time::{Duration, Instant},
    };

    use super::*;

    #[test]
    fn what_a_process_started_in_a_group_of_its_own_ends_with_it() {
        // As a job does: a session, and in it a command that leads a group.
        let script = "set -m; sleep 4322 & echo $!; wait";
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
        let sleeping = Process::of(line.trim().parse().unwrap()).unwrap();
        let session = Process::of(Stat::of(sleeping.pid).unwrap().session).unwrap();
        assert_ne!(session.pid, child.id());
        session.signal(Signal::KILL).unwrap();
        child.wait().unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while sleeping.is_alive() {
            assert!(Instant::now() < end, "it lives still");
            thread::sleep(Duration::from_millis(20));
        }
        session.signal(Signal::KILL).unwrap();
    }

    #[test]
    fn a_process_that_leads_no_session_is_not_mistaken_for_one() {
        assert_eq!(members(std::process::id()).unwrap(), [0_u32; 0]);
    }
}
