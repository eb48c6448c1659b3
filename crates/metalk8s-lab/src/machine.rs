//! One machine of a lab: commands, files, reboots and power cuts.

use std::{
    fs::File,
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use metalk8s_diagnostics::{Diagnose, Hint};
use serde::Serialize;

use crate::{
    init::{self, Init},
    podman::{Podman, PodmanError},
    process::{self, Output, RunError, Source},
    wait::{WaitError, wait_until},
};

/// What a command gets that names no deadline of its own.
pub const COMMAND_DEADLINE: Duration = Duration::from_secs(600);
/// A boot takes 2 s; on a computer where everything is built at once it may take much longer.
const BOOT_DEADLINE: Duration = Duration::from_secs(180);
/// How long a machine may take to shut down before its power is cut.
const SHUTDOWN_SECONDS: &str = "90";
/// The exit code of a command that could not be begun, as the machine is off.
const OFF: i32 = 125;

/// A machine, whether it runs or not.
#[derive(Debug, Clone)]
pub struct Machine {
    pub(crate) podman: Podman,
    /// Its first process, when it was last looked for.
    pub(crate) init: Arc<Mutex<Option<Init>>>,
    /// Its host name, such as `bootstrap` or `node1`.
    pub name: String,
    /// Its name at the container engine.
    pub container: String,
    /// Its address in the control plane.
    pub control: Ipv4Addr,
    /// Its address in the workload plane.
    pub workload: Ipv4Addr,
}

/// Whether a machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Power {
    /// It runs.
    On,
    /// It was shut down, has lost its power, or was never started.
    Off,
}

/// Why a machine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The container engine refused.
    #[error("could not reach the machine `{machine}`")]
    Podman {
        /// The machine.
        machine: String,
        /// What the engine said.
        #[source]
        source: PodmanError,
    },
    /// A command could not be run to its end.
    #[error("could not run `{command}` on `{machine}`")]
    Run {
        /// The machine.
        machine: String,
        /// The command.
        command: String,
        /// Why not.
        #[source]
        source: RunError,
    },
    /// A command that had to succeed did not.
    #[error("`{command}` on `{machine}` ended with {code}: {said}")]
    Failed {
        /// The machine.
        machine: String,
        /// The command.
        command: String,
        /// Its exit code.
        code: i32,
        /// What it printed last.
        said: String,
    },
    /// A file to be copied could not be read.
    #[error("could not read `{path}`")]
    Read {
        /// The file on this computer.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It did not come up.
    #[error("the machine `{machine}` did not boot")]
    Boot {
        /// The machine.
        machine: String,
        /// What was seen last.
        #[source]
        source: WaitError,
    },
}

impl Diagnose for MachineError {
    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Boot { machine, .. } => {
                vec![format!("`./lab logs {machine}` shows how far it came").into()]
            }
            Self::Podman { machine, .. } => {
                vec![format!("`./lab status` tells whether `{machine}` runs; `./lab up` starts it").into()]
            }
            _ => Vec::new(),
        }
    }
}

impl Machine {
    /// Runs a shell command as root, whatever its exit code, and collects what it says. Where the machine is off the
    /// code is 125.
    pub fn run(&self, command: &str) -> Result<Output, MachineError> {
        self.run_for(command, COMMAND_DEADLINE)
    }

    /// Like [`Machine::run`], with a deadline of its own.
    pub fn run_for(&self, command: &str, deadline: Duration) -> Result<Output, MachineError> {
        self.stream(command, deadline, &mut |_, _| {})
    }

    /// Like [`Machine::run_for`], and hands over each line as it comes.
    pub fn stream(
        &self,
        command: &str,
        deadline: Duration,
        on_line: &mut dyn FnMut(Source, &str),
    ) -> Result<Output, MachineError> {
        self.call(command, |call| process::stream(call, None, deadline, on_line))
    }

    /// Runs a command that must succeed, and gives its standard output without the final line break.
    pub fn run_checked(&self, command: &str) -> Result<String, MachineError> {
        let output = self.run(command)?;
        self.checked(command, &output)?;
        Ok(output.stdout.trim_end_matches('\n').to_owned())
    }

    /// Copies a file of this computer; the folder is made, and the file replaced only when it is complete.
    pub fn copy_to(&self, local: &Path, remote: &str, mode: u32) -> Result<(), MachineError> {
        let file =
            File::open(local).map_err(|source| MachineError::Read { path: local.to_owned(), source })?;
        let command = receive(remote, mode);
        let output =
            self.call(&command, |call| process::capture_with_own_input(call.stdin(file), COMMAND_DEADLINE))?;
        self.checked(&command, &output)
    }

    /// Copies a file of the machine to this computer.
    pub fn copy_from(&self, remote: &str, local: &Path) -> Result<(), MachineError> {
        let local = local.to_string_lossy();
        self.engine(["cp", &format!("{}:{remote}", self.container), &local]).map(drop)
    }

    /// Writes a file; the folder is made, and the file replaced only when it is complete.
    pub fn write(&self, remote: &str, contents: &[u8], mode: u32) -> Result<(), MachineError> {
        let command = receive(remote, mode);
        let input = Some(contents.to_vec());
        let output = self.call(&command, |call| process::capture(call, input, COMMAND_DEADLINE))?;
        self.checked(&command, &output)
    }

    /// Whether it runs.
    pub fn power(&self) -> Result<Power, MachineError> {
        let state =
            self.engine(["container", "inspect", "--format", "{{.State.Status}}", &self.container])?;
        Ok(if state.trim() == "running" { Power::On } else { Power::Off })
    }

    /// Switches it on and waits until it has booted; does nothing to a machine that runs.
    pub fn start(&self) -> Result<(), MachineError> {
        self.engine(["start", &self.container])?;
        self.wait_booted()
    }

    /// Shuts it down in order.
    pub fn shut_down(&self) -> Result<(), MachineError> {
        self.engine(["stop", "--time", SHUTDOWN_SECONDS, &self.container]).map(drop)
    }

    /// Shuts it down in order, starts it, and waits until it has booted.
    pub fn reboot(&self) -> Result<(), MachineError> {
        self.shut_down()?;
        self.start()
    }

    /// Takes its power away, as fast as that is; it stays off.
    pub fn cut_power(&self) -> Result<(), MachineError> {
        if self.power()? == Power::On {
            self.engine(["kill", "--signal", "KILL", &self.container])?;
        }
        wait_until("its end", BOOT_DEADLINE, || match self.power() {
            Ok(Power::Off) => Ok(()),
            Ok(Power::On) => Err("it still runs".to_owned()),
            Err(error) => Err(error.to_string()),
        })
        .map_err(|source| MachineError::Boot { machine: self.name.clone(), source })
    }

    /// A power cut: takes its power away, starts it, and waits until it has booted.
    pub fn power_cut(&self) -> Result<(), MachineError> {
        self.cut_power()?;
        self.start()
    }

    /// Waits until systemd says that all is started (a failed unit counts as started).
    pub fn wait_booted(&self) -> Result<(), MachineError> {
        wait_until("systemd to finish the boot", BOOT_DEADLINE, || {
            let output = self.run_for("systemctl is-system-running", Duration::from_secs(20));
            match output {
                Ok(output) if ["running", "degraded"].contains(&output.stdout.trim()) => Ok(()),
                Ok(output) => Err(format!("{}{}", output.stdout, output.stderr).trim().to_owned()),
                Err(error) => Err(error.to_string()),
            }
        })
        .map_err(|source| MachineError::Boot { machine: self.name.clone(), source })
    }

    /// A call that takes over the terminal: a shell, or a command in one.
    pub fn interactive(&self, terminal: bool, command: &[String]) -> Command {
        let mut args = vec!["exec".to_owned(), "--interactive".to_owned()];
        args.extend(init::ENVIRONMENT.iter().map(|word| format!("--env={word}")));
        if terminal {
            args.push("--tty".to_owned());
            if let Ok(kind) = std::env::var("TERM") {
                args.push(format!("--env=TERM={kind}"));
            }
        }
        args.extend(["--workdir=/root".to_owned(), self.container.clone()]);
        match command {
            [] => args.extend(["bash".to_owned(), "--login".to_owned()]),
            // As with ssh, a single word is a line for the shell.
            [line] => args.extend(["bash".to_owned(), "-c".to_owned(), line.clone()]),
            words => args.extend(words.iter().cloned()),
        }
        self.podman.command(args)
    }

    /// Has a shell command in the machine be run.
    fn call(
        &self,
        command: &str,
        run: impl FnOnce(&mut Command) -> Result<Output, RunError>,
    ) -> Result<Output, MachineError> {
        let is_off =
            || Output { code: OFF, stdout: String::new(), stderr: format!("`{}` is off", self.name) };
        let Some(mut call) = self.init()?.and_then(|init| init.shell(command).ok()) else {
            return Ok(is_off());
        };
        let output = run(&mut call).map_err(|source| self.run_error(command, source))?;
        // It went off in this very moment.
        let has_left = !output.success() && output.stderr.starts_with("nsenter: ");
        Ok(if has_left { is_off() } else { output })
    }

    /// Its first process, of a machine that runs.
    fn init(&self) -> Result<Option<Init>, MachineError> {
        let mut known = self.init.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.as_ref().is_some_and(Init::is_alive) {
            let pid = self.engine(["container", "inspect", "--format", "{{.State.Pid}}", &self.container])?;
            // It is 0 where the machine is off.
            *known = pid.trim().parse().ok().filter(|&pid| pid > 0).and_then(|pid| Init::new(pid).ok());
        }
        Ok(*known)
    }

    fn engine<const N: usize>(&self, args: [&str; N]) -> Result<String, MachineError> {
        self.podman.run(args).map_err(|source| MachineError::Podman { machine: self.name.clone(), source })
    }

    fn run_error(&self, command: &str, source: RunError) -> MachineError {
        MachineError::Run { machine: self.name.clone(), command: command.to_owned(), source }
    }

    fn checked(&self, command: &str, output: &Output) -> Result<(), MachineError> {
        if output.success() {
            return Ok(());
        }
        let said = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
        let lines: Vec<_> = said.trim().lines().collect();
        Err(MachineError::Failed {
            machine: self.name.clone(),
            command: command.to_owned(),
            code: output.code,
            said: lines[lines.len().saturating_sub(10)..].join("\n"),
        })
    }
}

/// A command that writes its input to a file: beside it first, then in its place.
fn receive(path: &str, mode: u32) -> String {
    let path = quoted(path);
    format!(
        "set -e; path={path}; mkdir -p \"$(dirname \"$path\")\"; new=\"$path.new-$$\"; \
         trap 'rm -f \"$new\"' EXIT; install --mode={mode:o} /dev/null \"$new\"; cat > \"$new\"; \
         mv --no-target-directory \"$new\" \"$path\""
    )
}

/// A word for the shell, whatever is in it.
pub fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(command: &str, input: &[u8]) -> Output {
        let mut shell = Command::new("bash");
        shell.args(["-c", command]);
        process::capture(&mut shell, Some(input.to_vec()), COMMAND_DEADLINE).unwrap()
    }

    #[test]
    fn a_received_file_has_its_contents_mode_and_nothing_beside_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/it's here");
        assert!(here(&receive(path.to_str().unwrap(), 0o640), b"text").success());
        assert_eq!(std::fs::read(&path).unwrap(), b"text");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn words_for_the_shell_stay_one_word() {
        for word in ["plain", "two words", "it's", "$HOME `id` \\"] {
            assert_eq!(here(&format!("printf %s {}", quoted(word)), b"").stdout, word);
        }
    }
}
