//! The functions of `salt-run`: from the words of a command line to what is asked of the master.

mod error;
mod jobs;
mod minions;
mod orchestrate;
mod table;
#[cfg(test)]
mod tests;
mod versions;

use metalk8s_diagnostics::{Problem, Problems, explain};
use serde_json::{Map, Value, json};

use crate::{Target, TargetKind, Words, nearest::functions_like, parse_words};
use table::{Does, JobsAsk};

pub use error::RunnerError;
pub use jobs::{Job, JobFilter, active, last_run, list_job, list_jobs, lookup, print_job};
pub use minions::synced;
pub use orchestrate::{DEPLOY_NODE, NodeSettings, Orchestrate, REMOVE_NODE, STEP, StatesCall};
pub use table::{Minions, RUNNERS, Runner};
pub use versions::versions;

/// What is asked of the master.
#[derive(Debug, Clone)]
pub enum RunnerCall {
    /// A procedure over many nodes.
    Orchestrate(Orchestrate),
    /// States of the master's own machine.
    States(StatesCall),
    /// Minions that answer, or do not, among the target ([`Minions::told`]).
    Minions(Minions, Target),
    /// Versions of minions beside the master's ([`versions`]).
    Versions,
    /// Jobs that are kept ([`list_jobs`]).
    ListJobs(JobFilter),
    /// The newest job ([`last_run`]).
    LastRun(JobFilter),
    /// One job ([`list_job`]).
    ListJob(String),
    /// One job under its id ([`print_job`]).
    PrintJob(String),
    /// What the minions of a job returned ([`lookup`]).
    Lookup {
        /// The job.
        jid: String,
        /// Whether those that did not return are told too.
        missing: bool,
    },
    /// Jobs that run ([`active`]).
    ActiveJobs,
    /// Settings of this environment are read again; there are no modules to sync ([`synced`]).
    SyncAll {
        /// `saltenv=`.
        saltenv: Option<String>,
    },
    /// The roster is read from the Node objects again.
    SyncRoster,
    /// Logins are checked by the Kubernetes API, so there is nothing to sync.
    SyncAuth,
    /// Wait until the minions answer and run nothing.
    WaitMinions {
        /// Which ones.
        target: Target,
        /// How often it is tried.
        retry: u32,
    },
    /// Nothing: this is the answer.
    Answer(Value),
}

/// Reads the words after `salt-run`.
///
/// # Errors
/// When there is no such function, or with all mistakes in its words.
pub fn parse(function: &str, words: &[String]) -> Result<RunnerCall, RunnerError> {
    let Some(known) = RUNNERS.iter().find(|known| known.name == function) else {
        let near = functions_like(function, RUNNERS.iter().map(|known| known.name));
        return Err(RunnerError::Unknown { function: function.to_owned(), near });
    };
    let mut asked =
        Asked { function: known.name, typed: words, words: parse_words(words), problems: Vec::new() };
    let call = asked.call(known.does);
    match (call, asked.problems) {
        (Some(call), problems) if problems.is_empty() => Ok(call),
        (_, problems) => {
            let source = Problems::new("the words are not accepted", problems);
            Err(RunnerError::Words { function: known.name, source })
        }
    }
}

/// What these functions of the master do, by name; with names, only these functions or modules.
pub fn docs(names: &[String]) -> Value {
    let is_asked_for = |function: &&Runner| {
        let module = function.name.split('.').next().unwrap_or_default();
        names.is_empty() || names.iter().any(|name| name == function.name || name == module)
    };
    let mut known: Vec<&Runner> = RUNNERS.iter().filter(is_asked_for).collect();
    known.sort_by_key(|function| function.name);
    let docs = known.into_iter().map(|Runner { name, words, about, does: _ }| {
        let usage = format!("salt-run {name} {words}");
        ((*name).to_owned(), Value::from(format!("{about}\n{}", usage.trim_end())))
    });
    docs.collect::<Map<_, _>>().into()
}

/// A function that is known, with its words and what is wrong with them.
struct Asked<'w> {
    function: &'static str,
    /// As they were typed.
    typed: &'w [String],
    words: Words,
    problems: Vec<Problem>,
}

impl Asked<'_> {
    /// Nothing where a mistake leaves nothing to ask for.
    fn call(&mut self, does: Does) -> Option<RunnerCall> {
        match does {
            Does::Orchestrate => {
                let read = Orchestrate::from_words(&self.words, self.typed);
                self.read(read)
            }
            Does::Single => {
                let read = Orchestrate::single(&self.words, self.typed);
                self.read(read)
            }
            Does::Minions(minions @ (Minions::Present | Minions::NotPresent)) => {
                self.takes(0, &[]);
                Some(RunnerCall::Minions(minions, self.target()?))
            }
            Does::Minions(minions) => {
                self.takes(0, &["tgt", "tgt_type", "timeout", "gather_job_timeout"]);
                Some(RunnerCall::Minions(minions, self.target()?))
            }
            Does::Versions => {
                self.takes(0, &[]);
                Some(RunnerCall::Versions)
            }
            Does::Jobs(ask) => self.jobs(ask),
            Does::SyncAll => {
                self.takes(1, &["saltenv"]);
                let saltenv = self.words.named.get("saltenv").or(self.words.positional.first());
                Some(RunnerCall::SyncAll { saltenv: saltenv.and_then(Value::as_str).map(str::to_owned) })
            }
            Does::SyncRoster => {
                self.takes(1, &["saltenv"]);
                Some(RunnerCall::SyncRoster)
            }
            Does::SyncAuth => {
                self.takes(1, &["saltenv"]);
                Some(RunnerCall::SyncAuth)
            }
            Does::Wait => {
                self.takes(0, &["tgt", "tgt_type", "retry"]);
                let retry = self.words.named.get("retry").map(|retry| {
                    retry.as_u64().and_then(|retry| u32::try_from(retry).ok()).filter(|retry| *retry > 0)
                });
                if retry == Some(None) {
                    self.wrong("this value is not accepted", "retry", "a number of tries, at least 1");
                }
                Some(RunnerCall::WaitMinions { target: self.target()?, retry: retry.flatten().unwrap_or(10) })
            }
            Does::Arg => {
                let Words { positional, named } = &self.words;
                Some(RunnerCall::Answer(json!({"args": positional, "kwargs": named})))
            }
            Does::Doc => {
                self.takes(usize::MAX, &[]);
                let names: Vec<String> =
                    self.words.positional.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                Some(RunnerCall::Answer(docs(&names)))
            }
        }
    }

    fn read(&mut self, read: Result<RunnerCall, Vec<Problem>>) -> Option<RunnerCall> {
        read.map_err(|problems| self.problems.extend(problems)).ok()
    }

    fn jobs(&mut self, ask: JobsAsk) -> Option<RunnerCall> {
        match ask {
            JobsAsk::List => {
                self.takes(0, &["search_function", "search_target", "search_metadata"]);
                self.filter("search_").map(RunnerCall::ListJobs)
            }
            JobsAsk::Last => {
                self.takes(0, &["function", "target", "metadata"]);
                self.filter("").map(RunnerCall::LastRun)
            }
            JobsAsk::One => {
                self.takes(1, &["jid"]);
                self.jid().map(RunnerCall::ListJob)
            }
            JobsAsk::Print => {
                self.takes(1, &["jid"]);
                self.jid().map(RunnerCall::PrintJob)
            }
            JobsAsk::Lookup => {
                self.takes(1, &["jid", "missing", "returned"]);
                let missing = self.words.is_true("missing");
                self.jid().map(|jid| RunnerCall::Lookup { jid, missing })
            }
            JobsAsk::Active => {
                self.takes(0, &[]);
                Some(RunnerCall::ActiveJobs)
            }
        }
    }

    /// Notes words that would otherwise be ignored in silence.
    fn takes(&mut self, positional: usize, named: &[&str]) {
        for word in self.words.superfluous(positional, named) {
            let message = format!("`{}` does not take {word}", self.function);
            self.problems.push(Problem::new(explain::WRONG_USAGE, message));
        }
    }

    fn wrong(&mut self, message: &str, name: &str, accepted: &str) {
        let found =
            self.words.named.get(name).map_or_else(|| "nothing".to_owned(), |value| format!("`{value}`"));
        let problem = Problem::new(explain::WRONG_USAGE, message);
        self.problems.push(problem.found(found).accepted(accepted).key(name));
    }

    fn target(&mut self) -> Option<Target> {
        let named = &self.words.named;
        let text = named.get("tgt").map_or_else(|| "*".to_owned(), shown);
        let kind = match named.get("tgt_type").map(|kind| shown(kind).parse::<TargetKind>()) {
            None => TargetKind::Glob,
            Some(Ok(kind)) => kind,
            Some(Err(message)) => {
                self.problems.push(Problem::new(explain::WRONG_USAGE, message).key("tgt_type"));
                return None;
            }
        };
        Target::parse(kind, &text).map_err(|problems| self.problems.extend(problems.problems)).ok()
    }

    /// Digits are read as a number where they fit into one.
    fn jid(&mut self) -> Option<String> {
        let jid = self.words.positional.first().or(self.words.named.get("jid")).map(shown);
        let is_jid = |jid: &String| jid.len() == 20 && jid.bytes().all(|byte| byte.is_ascii_digit());
        let found = jid.clone().filter(is_jid);
        if found.is_none() {
            let problem = Problem::new(explain::WRONG_USAGE, "this is not the id of a job")
                .found(jid.map_or_else(|| "nothing".to_owned(), |jid| format!("`{jid}`")))
                .accepted("20 digits such as `20260112071130203596`");
            self.problems.push(problem);
        }
        found
    }

    fn filter(&mut self, prefix: &str) -> Option<JobFilter> {
        let named = |name: &str| self.words.named.get(&format!("{prefix}{name}"));
        let metadata = match named("metadata") {
            None => Some(Map::new()),
            Some(Value::Object(metadata)) => Some(metadata.clone()),
            Some(_) => None,
        };
        let filter = JobFilter::new(named("function"), named("target"), metadata.clone().unwrap_or_default());
        if metadata.is_none() {
            self.wrong(
                "this value is not accepted",
                &format!("{prefix}metadata"),
                "a map such as `{key: value}`",
            );
        }
        Some(filter)
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
