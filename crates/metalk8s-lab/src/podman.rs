//! The container engine, with a configuration of our own and the user's left alone.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde::de::DeserializeOwned;

use crate::{
    cache::{Cache, CacheError},
    process::{self, Output, RunError},
};

/// Label of everything that belongs to a lab; its value is the lab's name.
pub const LAB_LABEL: &str = "com.metalk8s.lab";

/// Long enough for an image to be imported on a busy computer.
const DEADLINE: Duration = Duration::from_secs(600);

// crun refuses computers that have both hierarchies of control groups, so the runtime is runc. The cgroupfs
// manager and the log of events in a file need no systemd on the computer, and the limits are the caller's own
// because they cannot be raised without CAP_SYS_RESOURCE.
const ENGINE: &str = "\
# Made by metalk8s-lab; used only for the machines of labs.
[containers]
default_ulimits = []

[engine]
cgroup_manager = \"cgroupfs\"
events_logger = \"file\"
runtime = \"runc\"

[engine.runtimes]
runc = [\"/usr/sbin/runc\", \"/usr/bin/runc\", \"/usr/local/sbin/runc\"]
";

/// Calls podman.
#[derive(Debug, Clone)]
pub struct Podman {
    configuration: PathBuf,
}

/// Why podman did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum PodmanError {
    /// It could not be run.
    #[error("could not run podman")]
    Run(#[from] RunError),
    /// It refused.
    #[error("`{shown}` ended with {code}: {stderr}")]
    Failed {
        /// The command as a person would type it.
        shown: String,
        /// Its exit code.
        code: i32,
        /// What it said.
        stderr: String,
    },
    /// It answered what we do not understand.
    #[error("`{shown}` answered something that is not understood")]
    Answer {
        /// The command as a person would type it.
        shown: String,
        /// What was wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl Podman {
    /// Writes the engine's configuration into the cache.
    pub fn new(cache: &Cache) -> Result<Self, CacheError> {
        Ok(Self { configuration: cache.write("lab", "containers.conf", ENGINE)? })
    }

    /// A call, to be completed and run by the caller.
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new("podman");
        command.env("CONTAINERS_CONF", &self.configuration).args(args);
        command
    }

    /// Where the configuration is, for messages.
    pub fn configuration(&self) -> &Path {
        &self.configuration
    }

    /// Calls podman and gives its standard output; an exit code other than 0 is an error.
    pub fn run<S: AsRef<std::ffi::OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> Result<String, PodmanError> {
        let mut command = self.command(args);
        let output = process::capture(&mut command, None, DEADLINE)?;
        checked(&command, output)
    }

    /// Like [`Podman::run`], for calls that answer JSON.
    pub fn query<T: DeserializeOwned>(&self, args: &[&str]) -> Result<T, PodmanError> {
        let answer = self.run(args.iter().chain(&["--format", "json"]))?;
        let text = if answer.trim().is_empty() { "null" } else { answer.as_str() };
        serde_json::from_str(text)
            .map_err(|source| PodmanError::Answer { shown: process::shown(&self.command(args)), source })
    }

    /// Whether an object of this kind (`image`, `volume`, `network`, `container`) exists.
    pub fn exists(&self, kind: &str, name: &str) -> Result<bool, PodmanError> {
        let mut command = self.command([kind, "exists", name]);
        let output = process::capture(&mut command, None, DEADLINE)?;
        match output.code {
            0 => Ok(true),
            1 => Ok(false),
            _ => checked(&command, output).map(|_| false),
        }
    }
}

fn checked(command: &Command, output: Output) -> Result<String, PodmanError> {
    if output.success() {
        return Ok(output.stdout);
    }
    Err(PodmanError::Failed {
        shown: process::shown(command),
        code: output.code,
        stderr: output.stderr.trim().to_owned(),
    })
}
