//! One procedure of the manual, as it stands in the folder `tests/procedures`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A file of the folder: one section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// `A` to `R`.
    #[serde(rename = "section")]
    pub letter: char,
    /// Such as `Backup and restoration of the Bootstrap node`.
    pub title: String,
    /// The version that its texts name, such as `2.5.1`: it stands for the version under test.
    pub release: String,
    /// Its entries, in the order of the manual.
    #[serde(rename = "procedure")]
    pub procedures: Vec<Procedure>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Procedure {
    /// `P001` to `P225`.
    pub id: String,
    /// Number and title of its chapter.
    pub heading: String,
    /// What it is.
    pub kind: Kind,
    /// Where its text comes from.
    pub status: Status,
    /// Whether it is a documented command: one of the M that are counted.
    pub metric: bool,
    /// Where the manual has it done.
    #[serde(rename = "where")]
    pub location: Location,
    /// The file or object that the text belongs into.
    pub file: Option<String>,
    /// Entries that come before it or that it makes use of.
    #[serde(default)]
    pub companions: Vec<String>,
    /// What must be seen.
    pub seen: String,
    /// The text exactly as printed.
    pub text: Option<String>,
    /// How it is run.
    pub run: Option<Run>,
    /// It is no command, and suites show it with checks of their own.
    pub shown: Option<Shown>,
    /// It cannot be run yet.
    pub not_yet: Option<NotYet>,
    /// It can never be run here.
    pub cannot: Option<Cannot>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A command of a shell.
    Cmd,
    /// An address or a call.
    Http,
    /// An object of Kubernetes.
    Manifest,
    /// The content of a file.
    Config,
    /// A procedure in the browser.
    Ui,
    /// A sequence of messages.
    Flow,
    /// Anything else.
    Step,
}

/// Where the text of an entry comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The manual prints it.
    Printed,
    /// It is damaged or missing there, and was taken from the public documentation of the same release.
    Recovered,
    /// It stands inside a sentence.
    Prose,
    /// It was read from a picture.
    Picture,
}

/// Where the manual has something done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Location {
    /// Each machine of the cluster.
    EveryMachine,
    /// The Bootstrap node.
    Bootstrap,
    /// The computer of the person who installs.
    OperatorHost,
    /// A node that is not the Bootstrap node.
    Node,
    /// The machine that takes the place of a lost Bootstrap node.
    NewBootstrap,
    /// A node with a working etcd.
    EtcdNode,
    /// A node with a working API server.
    MasterNode,
    /// A shell in the salt-master container.
    SaltMasterContainer,
    /// A shell in the etcd container.
    EtcdContainer,
    /// A call to the API server.
    ApiServer,
    /// The root of a clone of this repository.
    BuildComputer,
    /// The computer of somebody who makes a Solution.
    SolutionDeveloper,
    /// A browser.
    Browser,
    /// Nowhere: it is the content of a file.
    File,
}

/// Checks of suites show what must be seen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// Each suite that does.
    pub suites: Vec<String>,
}

/// It needs a part of the product that is still missing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotYet {
    /// What is missing.
    pub issue: String,
}

/// It can never be run in the lab.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cannot {
    /// Why.
    pub why: String,
}

/// How an entry is run, and what must come of it.
///
/// All texts of ours may name facts, as `{version}` (see [`crate::procedures::Facts`]).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The suite that runs it.
    pub suite: String,
    /// Whether it runs as printed.
    pub form: Form,
    /// The present form of a text that today's programs refuse.
    pub adapted: Option<String>,
    /// Why they refuse it.
    pub reason: Option<String>,
    /// What must be there before.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// Values for what a person fills in, such as `<node_name>`.
    #[serde(default)]
    pub fill: BTreeMap<String, String>,
    /// Commands that make ready what the manual takes for granted, such as a file.
    pub prepare: Option<String>,
    /// Entries whose commands are typed before it in the same shell.
    #[serde(default)]
    pub same_shell: Vec<String>,
    /// Commands of ours that come before the line that begins with the key, such as a wait.
    #[serde(default)]
    pub insert: BTreeMap<String, String>,
    /// What is typed into the program that the command starts, such as a shell.
    pub typed: Option<String>,
    /// The command insists on a terminal.
    #[serde(default)]
    pub terminal: bool,
    /// A command that carries out what is no whole command by itself: `{text}` is the text.
    pub call: Option<String>,
    /// A command that looks at the effect, in the same shell; it must succeed.
    pub check: Option<String>,
    /// The machine is started anew by it.
    #[serde(default)]
    pub reboots: bool,
    /// How long it may take.
    #[serde(default = "default_deadline")]
    pub deadline_seconds: u64,
    /// What must come of it.
    #[serde(default)]
    pub expect: Expect,
}

/// Whether an entry runs as printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Exactly as printed, with its placeholders filled in.
    Printed,
    /// In the form that today's programs accept.
    Adapted,
}

/// What must be there before an entry can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// The machine `bootstrap` holds nothing of the product, not even its configuration.
    BareMachine,
    /// The ISO lies on the machine `bootstrap`.
    Archive,
    /// The archive is mounted and `/etc/metalk8s/bootstrap.yaml` is written, but nothing is installed.
    Configuration,
    /// `bootstrap.sh` has ended well and all pods run.
    Cluster,
    /// A machine that is not part of the cluster.
    NewNode,
    /// A machine that knows the names and host keys of the others and may log in to them as root.
    OperatorHost,
    /// A clone of this repository whose `_build` and `.env` may be changed and removed.
    Checkout,
    /// git on the computer that builds.
    Git,
}

/// What must come of a command. All patterns are regular expressions; `^` and `$` stand for the ends of a line.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// The exit code.
    pub exit: i32,
    /// Each is found in the standard output.
    pub stdout_matches: Vec<String>,
    /// Each is found in the standard error.
    pub stderr_matches: Vec<String>,
    /// Each is found in one of both.
    pub output_matches: Vec<String>,
    /// None is found in any of both.
    pub output_lacks: Vec<String>,
}

impl Expect {
    /// All patterns.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        [&self.stdout_matches, &self.stderr_matches, &self.output_matches, &self.output_lacks]
            .into_iter()
            .flatten()
            .map(String::as_str)
    }
}

impl Procedure {
    /// What is run: the present form where there is one, else the text.
    pub(crate) fn effective_text(&self) -> Option<&str> {
        self.run.as_ref().and_then(|run| run.adapted.as_deref()).or(self.text.as_deref())
    }
}

fn default_deadline() -> u64 {
    300
}
