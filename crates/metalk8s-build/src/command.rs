//! Runs one outside program, with its words in a log file.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

const TAIL: u64 = 3000;

/// A log file that outside programs write to.
#[derive(Debug, Clone)]
pub struct Log(PathBuf);

impl Log {
    /// Starts an empty log for the task `name` in the folder `folder`.
    pub fn create(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let name: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let path = folder.join(format!("{}.log", name.trim_matches('-')));
        fs::create_dir_all(folder)
            .and_then(|()| File::create(&path).map(drop))
            .with_context(|| format!("could not write the log `{}`", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Runs a program to its end. An error shows the last lines of what it said.
    pub fn run(&self, command: &mut Command) -> anyhow::Result<()> {
        let open = || OpenOptions::new().append(true).open(&self.0);
        let (out, err) = open()
            .and_then(|out| Ok((out, open()?)))
            .with_context(|| format!("could not write the log `{}`", self.0.display()))?;
        let status = normal(command)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .status()
            .with_context(|| not_found(command))?;
        if status.success() {
            return Ok(());
        }
        let tail = self.tail().unwrap_or_default();
        let name = command.get_program().display();
        bail!("`{name}` ended with {status}; `{}` ends with:\n{tail}", self.0.display())
    }

    fn tail(&self) -> io::Result<String> {
        let mut file = File::open(&self.0)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }
}

/// Runs a program and gives what it wrote to its standard output.
pub fn output(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let output = normal(command).stdin(Stdio::null()).output().with_context(|| not_found(command))?;
    if !output.status.success() {
        let name = command.get_program().display();
        let words = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        bail!("`{name}` ended with {}: {words}", output.status);
    }
    Ok(output.stdout)
}

/// The same as [`output`], as text without white space around it.
pub fn text(command: &mut Command) -> anyhow::Result<String> {
    let bytes = output(command)?;
    Ok(String::from_utf8(bytes).context("a program's output is not UTF-8")?.trim().to_owned())
}

/// Language and time zone of the user must not reach the results.
fn normal(command: &mut Command) -> &mut Command {
    command.env("LC_ALL", "C.UTF-8").env("TZ", "UTC")
}

fn not_found(command: &Command) -> String {
    format!("could not run `{}`", command.get_program().display())
}
