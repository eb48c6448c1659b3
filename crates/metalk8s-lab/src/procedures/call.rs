//! From an entry to the command line that is run, and to the machine that it is run on.

use std::time::Duration;

use metalk8s_types::paths;

use super::{
    book::Book,
    entry::{Location, Procedure, Run},
    facts::{Facts, expand, with_version},
};
use crate::machine::quoted;

/// A machine that commands are run on, each by a shell, bash, as root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Where {
    /// The machine `bootstrap`.
    Bootstrap,
    /// The machine that is not part of the cluster.
    NewNode,
    /// The computer of the person who installs.
    OperatorHost,
    /// This computer, in the root of a clone that may be changed.
    BuildComputer,
}

/// A command line with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// On which machine.
    pub place: Where,
    /// A script for bash.
    pub command: String,
    /// How long it may take.
    pub deadline: Duration,
}

/// Why an entry has no command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It is not run.
    #[error("{id} is not run")]
    NotRun {
        /// The entry.
        id: String,
    },
    /// It has no text.
    #[error("{id} has no text and no call")]
    NoText {
        /// The entry.
        id: String,
    },
    /// It is done in a browser.
    #[error("{id} is done where no command can be run")]
    NoMachine {
        /// The entry.
        id: String,
    },
    /// It names another entry that is not there.
    #[error("{id} names {other}, which is not there")]
    NoEntry {
        /// The entry.
        id: String,
        /// The other one.
        other: String,
    },
    /// It names a fact that is none.
    #[error("{id} names the fact `{{{name}}}`, which is none")]
    NoFact {
        /// The entry.
        id: String,
        /// The fact.
        name: String,
    },
}

impl Location {
    /// The machine of the lab that stands for it; none for a browser.
    ///
    /// In a cluster of one node, that node is every node.
    pub fn machine(self) -> Option<Where> {
        match self {
            Self::EveryMachine
            | Self::Bootstrap
            | Self::EtcdNode
            | Self::MasterNode
            | Self::SaltMasterContainer
            | Self::EtcdContainer
            | Self::ApiServer
            | Self::File => Some(Where::Bootstrap),
            Self::Node | Self::NewBootstrap => Some(Where::NewNode),
            Self::OperatorHost => Some(Where::OperatorHost),
            Self::BuildComputer | Self::SolutionDeveloper => Some(Where::BuildComputer),
            Self::Browser => None,
        }
    }
}

/// The command line of an entry.
///
/// Every command of a text must succeed, as it must for a person who types them one after the other.
pub fn call(book: &Book, procedure: &Procedure, facts: &Facts) -> Result<Call, CallError> {
    let id = || procedure.id.clone();
    let run = procedure.run.as_ref().ok_or_else(|| CallError::NotRun { id: id() })?;
    let place = procedure.location.machine().ok_or_else(|| CallError::NoMachine { id: id() })?;
    let writer = Writer { book, procedure, facts };
    let script = writer.script(run)?;
    let script = if run.terminal { in_terminal(&script, writer.ours(run.typed.as_deref())?) } else { script };
    let command = in_place(procedure.location, facts, &script);
    Ok(Call { place, command, deadline: Duration::from_secs(run.deadline_seconds) })
}

struct Writer<'a> {
    book: &'a Book,
    procedure: &'a Procedure,
    facts: &'a Facts,
}

impl Writer<'_> {
    fn script(&self, run: &Run) -> Result<String, CallError> {
        let mut lines = vec!["set -e".to_owned()];
        lines.extend(self.ours(run.prepare.as_deref())?);
        for other in &run.same_shell {
            lines.push(self.text_of(self.entry(other)?)?);
        }
        let mut body = match &run.call {
            Some(call) => self.expand(call)?,
            None => self.with_inserts(run, self.text_of(self.procedure)?)?,
        };
        if let Some(typed) = self.ours(run.typed.as_deref())?.filter(|_| !run.terminal) {
            body = format!("{{\n{body}\n}} <<'END_OF_TYPED'\n{typed}\nEND_OF_TYPED");
        }
        let check = self.ours(run.check.as_deref())?;
        match (run.expect.exit, check) {
            (0, check) => lines.extend([Some(body), check].into_iter().flatten()),
            (_, None) => lines.push(body),
            (expected, Some(check)) => lines.extend([
                "set +e".to_owned(),
                body,
                "code=$?".to_owned(),
                format!("[ $code -eq {expected} ] || {{ echo \"ended with $code\" >&2; exit {MISSED}; }}"),
                check,
            ]),
        }
        Ok(lines.join("\n"))
    }

    /// The text of an entry with the version and its own values in it, without the final line break.
    fn text_of(&self, procedure: &Procedure) -> Result<String, CallError> {
        let text =
            procedure.effective_text().ok_or_else(|| CallError::NoText { id: procedure.id.clone() })?;
        let release = self.book.release_of(&procedure.id).unwrap_or_default();
        let mut text = with_version(text.trim_end_matches('\n'), release, &self.facts.version);
        for (placeholder, value) in procedure.run.iter().flat_map(|run| &run.fill) {
            text = text.replace(placeholder, &self.expand(value)?);
        }
        Ok(text)
    }

    fn with_inserts(&self, run: &Run, text: String) -> Result<String, CallError> {
        let mut lines = Vec::new();
        for line in text.lines() {
            for (start, ours) in &run.insert {
                if line.starts_with(start.as_str()) {
                    lines.push(self.expand(ours)?);
                }
            }
            lines.push(line.to_owned());
        }
        Ok(lines.join("\n"))
    }

    fn ours(&self, text: Option<&str>) -> Result<Option<String>, CallError> {
        text.map(|text| self.expand(text.trim_end_matches('\n'))).transpose()
    }

    /// Our text with the facts in it; `{text}` and `{P088}` are the texts of this and of another entry.
    fn expand(&self, text: &str) -> Result<String, CallError> {
        // A text that cannot be had is found before, so that its own error is told.
        let mut texts = Vec::new();
        if text.contains("{text}") {
            texts.push(("text", self.text_of(self.procedure)?));
        }
        for other in self.book.procedures().filter(|other| text.contains(&format!("{{{}}}", other.id))) {
            texts.push((other.id.as_str(), self.text_of(other)?));
        }
        let value = |name: &str| {
            let found = texts.iter().find(|(known, _)| *known == name).map(|(_, text)| text.clone());
            found.or_else(|| self.facts.get(name))
        };
        expand(text, value).map_err(|name| CallError::NoFact { id: self.procedure.id.clone(), name })
    }

    fn entry(&self, id: &str) -> Result<&Procedure, CallError> {
        let missing = || CallError::NoEntry { id: self.procedure.id.clone(), other: id.to_owned() };
        self.book.get(id).ok_or_else(missing)
    }
}

/// Exit code of a command that did not end as it had to, where a look at its effect comes behind it.
const MISSED: i32 = 97;

/// `script` gives a command the terminal that some programs insist on; what is typed waits in it until it is read.
fn in_terminal(script: &str, typed: Option<String>) -> String {
    let input =
        typed.map_or("< /dev/null".to_owned(), |typed| format!("<<'END_OF_TYPED'\n{typed}\nEND_OF_TYPED"));
    format!("SHELL=/bin/bash script --quiet --return --command {} /dev/null {input}", quoted(script))
}

/// Carries a command into the container that the manual opens a shell in.
fn in_place(location: Location, facts: &Facts, script: &str) -> String {
    let (pod, container, shell) = match location {
        Location::EtcdContainer => ("etcd", "etcd", "sh"),
        Location::SaltMasterContainer => ("salt-master", "salt-master", "bash"),
        _ => return script.to_owned(),
    };
    format!(
        "kubectl --kubeconfig {} exec --namespace kube-system {pod}-{} --container {container} -- {shell} -c {}",
        paths::ADMIN_KUBECONFIG,
        facts.node,
        quoted(script),
    )
}
