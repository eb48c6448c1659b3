//! Machines reached as their Node objects say, before or without an agent.

use std::{
    error::Error as StdError,
    path::{Path, PathBuf},
    time::Duration,
};

use metalk8s_artifacts::archive::{ReadArchiveError, read_archive};
use metalk8s_diagnostics::{Code, Diagnose, Hint, explain, shortened};
use metalk8s_kube::{
    Fleet,
    fleet::{FleetError, NodeFacts},
};
use metalk8s_ssh::{
    Command, ConnectError, End, Endpoint, Options, Output, Ran, RunError, Session, Upload, UploadError,
};
use metalk8s_types::{VERSION, environment, labels, paths};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::reset::LAST_UNIT;

/// The program of a version inside its archive.
const PROGRAM: &str = "bin/metalk8s";
/// The key that the manual lets people make (BOOT-09).
const USUAL_KEY: &str = "/etc/metalk8s/pki/salt-bootstrap";
/// How much of what a machine said is told where a command failed there, in characters. The reason why apt failed is
/// some 500 before its end.
const SAID: usize = 1_000;

/// Why a machine was of no use.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// Its annotations.
    #[error("the Node `{node}` does not say how it is reached: {mistakes}")]
    Annotations {
        /// The node.
        node: String,
        /// What is wrong with them.
        mistakes: String,
    },
    /// It cannot be entered.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Its host key could not be written down.
    #[error(transparent)]
    Pin(#[from] FleetError),
    /// What is left of a node that was removed is in the way.
    #[error("`{node}` is still being reset; `systemctl status {LAST_UNIT}` on it tells why")]
    BeingReset {
        /// The node.
        node: String,
    },
    /// No archive of the version is mounted here.
    #[error("the archive of version {version} cannot be used")]
    Archive {
        /// The version.
        version: String,
        /// Why.
        #[source]
        source: Option<ReadArchiveError>,
    },
    /// The program could not be brought there.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// It could not be run there.
    #[error(transparent)]
    Run(#[from] RunError),
    /// It ran and failed.
    #[error("`{command}` on `{node}` ended with {end}: {said}")]
    Failed {
        /// The node.
        node: String,
        /// The command.
        command: String,
        /// How it ended.
        end: End,
        /// What it said.
        said: String,
    },
    /// Nobody understands what it said.
    #[error("the answer of `{command}` on `{node}` is damaged")]
    Answer {
        /// The node.
        node: String,
        /// The command.
        command: String,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl Diagnose for SshError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Annotations { .. } => Some(explain::NODE_INCOMPLETE),
            Self::Connect(error) => error.code(),
            Self::Pin(error) => error.code(),
            Self::BeingReset { .. } => Some(explain::ALREADY_RUNNING),
            Self::Archive { source: None, .. } => Some(explain::ARCHIVE_MISSING),
            Self::Archive { source: Some(_), .. } => Some(explain::ARCHIVE_UNREADABLE),
            Self::Upload(error) => error.code(),
            Self::Run(error) => error.code(),
            Self::Failed { .. } | Self::Answer { .. } => Some(explain::SSH_COMMAND_FAILED),
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Connect(error) => error.hints(),
            Self::Upload(error) => error.hints(),
            Self::Run(error) => error.hints(),
            Self::Annotations { .. }
            | Self::Pin(_)
            | Self::BeingReset { .. }
            | Self::Archive { .. }
            | Self::Failed { .. }
            | Self::Answer { .. } => Vec::new(),
        }
    }
}

impl SshError {
    /// Whether what was being done was cut off: the command was killed, or the connection was lost.
    pub fn is_interruption(&self) -> bool {
        match self {
            Self::Run(error) => matches!(error, RunError::Lost { .. }),
            Self::Failed { end, .. } => matches!(end, End::Signal(_)),
            _ => false,
        }
    }

    /// Whether it may pass by itself, as while a machine starts anew.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connect(error) => error.is_retryable(),
            Self::Upload(error) => error.is_retryable(),
            Self::Run(error) => error.is_retryable(),
            Self::Failed { .. } => self.is_interruption(),
            Self::Annotations { .. }
            | Self::Pin(_)
            | Self::BeingReset { .. }
            | Self::Archive { .. }
            | Self::Answer { .. } => false,
        }
    }
}

/// Where the annotations of a node say that its machine is reached (EXP-02, EXP-03).
///
/// # Errors
/// All that is wrong with them.
pub fn endpoint(node: &NodeFacts) -> Result<Endpoint, SshError> {
    let annotations = &node.annotations;
    let mut mistakes = Vec::new();
    let port = match annotations.port.as_deref().map(str::parse::<u16>) {
        None => 22,
        Some(Ok(port)) if port > 0 => port,
        Some(_) => {
            mistakes.push(format!("the annotation `{}` is no port", labels::SSH_PORT));
            22
        }
    };
    let sudo = match annotations.sudo.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            let key = labels::SSH_SUDO;
            mistakes.push(format!("the annotation `{key}` is `{other}`, neither `true` nor `false`"));
            false
        }
    };
    if !mistakes.is_empty() {
        return Err(SshError::Annotations { node: node.name.clone(), mistakes: mistakes.join("; ") });
    }
    let or = |value: &Option<String>, usual: &str| value.clone().unwrap_or_else(|| usual.to_owned());
    Ok(Endpoint {
        host: or(&annotations.host, &node.name),
        port,
        user: or(&annotations.user, "root"),
        key: or(&annotations.key_path, USUAL_KEY).into(),
        sudo,
    })
}

/// Logs in to the machine of a node. The host key that it shows first is written into its Node object, and is the
/// only one that is accepted later.
///
/// # Errors
/// When its annotations are wrong, it cannot be entered, or it is another machine than before.
pub async fn connect(fleet: &Fleet, node: &NodeFacts) -> Result<Session, SshError> {
    let pinned = node.annotations.host_key.as_deref();
    let session = Session::connect(&endpoint(node)?, pinned, &Options::default()).await?;
    if pinned.is_none() {
        fleet.annotate_node(&node.name, labels::SSH_HOST_KEY, session.host_key()).await?;
    }
    Ok(session)
}

/// Whether the machine is about to end the removal of the node that it was. What comes there now goes with it.
///
/// # Errors
/// When it cannot be asked.
pub async fn is_being_reset(session: &Session) -> Result<bool, SshError> {
    let units = ["timer", "service"].map(|kind| format!("{LAST_UNIT}.{kind}"));
    let command =
        Command::new("systemctl", Duration::from_secs(60)).args(["is-active", "--quiet"]).args(units);
    Ok(session.run(&command).await?.is_success())
}

/// Brings the program of a version to a machine, where it is not there yet; returns its path.
///
/// # Errors
/// When no archive of the version is mounted below `archives`, or it cannot be brought there.
pub async fn bring_program(session: &Session, archives: &Path, version: &str) -> Result<String, SshError> {
    let archive: PathBuf = archives.join(environment(version));
    let failed = |source| SshError::Archive { version: version.to_owned(), source };
    let manifest = tokio::task::block_in_place(|| read_archive(&archive)).map_err(|err| failed(Some(err)))?;
    let file = manifest.manifest.files.get(PROGRAM).ok_or_else(|| failed(None))?;
    let program = format!("{}/{}/metalk8s", paths::PROGRAMS, environment(version));
    let upload = Upload::new(archive.join(PROGRAM), &file.sha256, &program, Duration::from_secs(300));
    session.upload(&upload.mode(0o755)).await?;
    Ok(program)
}

/// Runs a command that answers in JSON.
///
/// # Errors
/// When it cannot be run, fails, or says something else.
pub async fn answer_of<T: DeserializeOwned>(
    session: &Session,
    node: &str,
    command: &Command,
    called: &str,
) -> Result<T, SshError> {
    answer(&session.run(command).await?, node, called)
}

/// What a command that has ended answered in JSON.
///
/// # Errors
/// When it failed, or said something else.
pub fn answer<T: DeserializeOwned>(ran: &Ran, node: &str, called: &str) -> Result<T, SshError> {
    if !ran.is_success() {
        return Err(failed(ran, node, called.to_owned()));
    }
    // The cause of a failure may quote what it read.
    serde_json::from_str(&ran.stdout.text()).map_err(|error| SshError::Answer {
        node: node.to_owned(),
        command: called.to_owned(),
        source: shortened(&error.to_string(), SAID).into(),
    })
}

/// The value that `salt-call --out=json` printed, and the status it ended with.
///
/// # Errors
/// When it printed something else.
pub fn returned(ran: &Ran, node: &str, function: &str) -> Result<(Value, u8), SshError> {
    let retcode = match ran.end {
        End::Status(status) => u8::try_from(status).unwrap_or(1),
        End::Signal(_) => 1,
    };
    match serde_json::from_str(&ran.stdout.text()) {
        Ok(Value::Object(mut answer)) => Ok((answer.remove("local").unwrap_or_default(), retcode)),
        _ => Err(failed(ran, node, format!("salt-call {function}"))),
    }
}

fn failed(ran: &Ran, node: &str, command: String) -> SshError {
    SshError::Failed { node: node.to_owned(), command, end: ran.end.clone(), said: reason(&ran.stderr) }
}

/// What a command said of its failure: its last error, where it has one after warnings, as our programs do, with how it
/// begins and how it ends: the last cause is what can be mended.
fn reason(stderr: &Output) -> String {
    const ERROR: &str = "error:";
    let text = stderr.text();
    let start = text.rfind(&format!("\n{ERROR}")).map_or(0, |at| at + 1);
    let said = Output { bytes: text.as_bytes()[start..].to_vec(), dropped: stderr.dropped }.shown(10 * SAID);
    let letters: Vec<char> = said.chars().collect();
    if letters.len() <= SAID {
        return said;
    }
    let head = SAID / 3;
    let part = |letters: &[char]| letters.iter().collect::<String>();
    format!("{} ... {}", part(&letters[..head]), part(&letters[letters.len() - (SAID - head)..]))
}

/// Has the machine of a node call a function without its agent; returns the value and the status.
///
/// # Errors
/// When it cannot be entered, or the function cannot be called.
pub async fn call(
    fleet: &Fleet,
    node: &NodeFacts,
    archives: &Path,
    function: &str,
    words: &[String],
    patience: Duration,
) -> Result<(Value, u8), SshError> {
    let session = connect(fleet, node).await?;
    if function == "test.ping" {
        // As root, if that is what the annotations say: else a deployment could not do anything.
        let command = Command::new("true", patience);
        let ran = session.run(&command).await?;
        return Ok((ran.is_success().into(), u8::from(!ran.is_success())));
    }
    let program = bring_program(&session, archives, VERSION).await?;
    let options = ["salt-call", "--local", "--out=json", "--retcode-passthrough", "--log-level=quiet"];
    let command = Command::new(program, patience).args(options).arg(function).args(words.iter().cloned());
    returned(&session.run(&command).await?, &node.name, function)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use metalk8s_kube::fleet::NodeAnnotations;

    use super::*;

    fn node(annotations: NodeAnnotations) -> NodeFacts {
        NodeFacts {
            name: "node-1".into(),
            roles: BTreeSet::new(),
            version: None,
            annotations,
            is_ready: false,
            is_cordoned: false,
            kubelet_version: String::new(),
            overlay_address: None,
        }
    }

    #[test]
    fn a_machine_is_reached_as_the_annotations_say() {
        let host = NodeAnnotations { host: Some("10.0.0.2".into()), ..NodeAnnotations::default() };
        let found = endpoint(&node(host)).unwrap();
        assert_eq!((found.to_string().as_str(), found.sudo), ("root@10.0.0.2:22", false));
        assert_eq!(found.key, Path::new(USUAL_KEY));
        let found = endpoint(&node(NodeAnnotations {
            port: Some("2222".into()),
            user: Some("admin".into()),
            sudo: Some("true".into()),
            key_path: Some("/k".into()),
            ..NodeAnnotations::default()
        }));
        let found = found.unwrap();
        assert_eq!((found.to_string().as_str(), found.sudo), ("admin@node-1:2222", true));
        assert_eq!(found.key, Path::new("/k"));
    }

    fn ran(status: u32, stdout: &str, stderr: &str) -> Ran {
        let output = |text: &str| Output { bytes: text.as_bytes().to_vec(), dropped: 0 };
        Ran { end: End::Status(status), stdout: output(stdout), stderr: output(stderr) }
    }

    #[test]
    fn what_salt_call_printed_is_taken_apart() {
        let taken = returned(&ran(0, r#"{"local": [1]}"#, ""), "node-1", "test.ping").unwrap();
        assert_eq!(taken, (serde_json::json!([1]), 0));
        let taken = returned(&ran(256, "{}", ""), "node-1", "test.ping").unwrap();
        assert_eq!(taken, (Value::Null, 1));
    }

    /// Such an answer ended the program.
    #[test]
    fn an_answer_that_is_no_map_is_a_failure() {
        for printed in ["[]", "1", "\"local\"", "nothing"] {
            let failure =
                returned(&ran(0, printed, "one\n\u{1b}[2Jtwo\n"), "node-1", "test.ping").unwrap_err();
            let told = failure.to_string();
            assert_eq!(told, "`salt-call test.ping` on `node-1` ended with status 0: one; [2Jtwo");
        }
    }

    #[test]
    fn of_a_failure_the_error_is_told_and_not_the_warnings_before_it() {
        let warnings = "warn an installation of packages was interrupted\n".repeat(20);
        let text = format!(
            "{warnings}error: could not install kubelet (MK1007)\n  cause: no space left on device\n"
        );
        let failure = answer::<u8>(&ran(1, "", &text), "node-1", "metalk8s join prepare").unwrap_err();
        assert!(
            failure
                .to_string()
                .ends_with("could not install kubelet (MK1007); cause: no space left on device"),
            "{failure}"
        );
    }

    #[test]
    fn a_long_reason_is_told_with_its_beginning_and_its_end() {
        let packages = "kubernetes-cni=1.9.1-1 calico-cni-plugin=3.28.5-1 ".repeat(20);
        let text = format!(
            "error: Installing packages: 1 of 7 states failed (MK1007)
  cause: could not install {packages}
  cause: `apt-get install` ended with exit status 100: cannot copy extracted data for './opt/cni/bin/firewall' to \
             '/opt/cni/bin/firewall.dpkg-new': failed to write (No space left on device); dpkg-deb: error: paste \
             subprocess was killed by signal (Broken pipe); Errors were encountered while processing:; \
             /var/cache/apt/archives/kubernetes-cni_1.9.1-1_amd64.deb; \
             /var/cache/apt/archives/calico-cni-plugin_3.28.5-1_amd64.deb; E: Sub-process /usr/bin/dpkg returned an \
             error code (1)
hint: `metalk8s explain MK1007` tells what it means and what to do
"
        );
        let failure = answer::<u8>(&ran(1, "", &text), "node-1", "metalk8s join prepare").unwrap_err();
        let told = failure.to_string();
        assert!(
            told.contains("status 1: error: Installing packages: 1 of 7 states failed (MK1007)"),
            "{told}"
        );
        assert!(
            told.contains("to '/opt/cni/bin/firewall.dpkg-new': failed to write (No space left"),
            "{told}"
        );
        assert!(told.ends_with("what to do") && told.chars().count() < SAID + 100, "{told}");
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_quoted_at_length() {
        let printed = format!("\"{}\"", "x".repeat(5000));
        let failure = answer::<u8>(&ran(0, &printed, ""), "node-1", "metalk8s join examine").unwrap_err();
        let cause = failure.source().unwrap().to_string();
        assert!(cause.contains("xxx") && cause.len() < SAID + 10, "{cause}");
    }

    #[test]
    fn wrong_annotations_are_told_together() {
        let wrong = endpoint(&node(NodeAnnotations {
            port: Some("many".into()),
            sudo: Some("yes".into()),
            ..NodeAnnotations::default()
        }));
        let wrong = wrong.unwrap_err().to_string();
        assert!(wrong.contains("ssh-port") && wrong.contains("ssh-sudo"), "{wrong}");
    }
}
