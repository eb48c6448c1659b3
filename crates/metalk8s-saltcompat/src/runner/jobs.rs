//! Jobs in the shapes that the runner `jobs` shows.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::shown;
use crate::{Glob, Returned, TargetKind, output::Answer};

/// A job that is kept or runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its id: 20 digits of the time it was started at, in UTC.
    pub jid: String,
    /// Such as `test.ping`.
    pub function: String,
    /// The words of the function.
    pub arguments: Vec<Value>,
    /// Whom it was for, as it was written.
    pub target: String,
    /// How that was written.
    pub target_kind: TargetKind,
    /// Who started it.
    pub user: String,
    /// Whom it was for, by name.
    pub minions: Vec<String>,
    /// What was noted with it.
    pub metadata: Option<Map<String, Value>>,
    /// What minions returned so far.
    pub returned: BTreeMap<String, Returned>,
    /// Minions on which it runs, with the process where that is known.
    pub running: BTreeMap<String, Option<u32>>,
}

/// Which jobs are asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JobFilter {
    functions: Vec<Glob>,
    targets: Vec<Glob>,
    metadata: Map<String, Value>,
}

impl JobFilter {
    /// Patterns are one text with commas, or a list; without any, everything is asked for.
    pub fn new(functions: Option<&Value>, targets: Option<&Value>, metadata: Map<String, Value>) -> Self {
        Self { functions: globs(functions), targets: globs(targets), metadata }
    }

    /// Whether a job is asked for.
    pub fn is_for(&self, job: &Job) -> bool {
        let fits =
            |globs: &[Glob], text: &str| globs.is_empty() || globs.iter().any(|glob| glob.matches(text));
        let mut targets = match job.target_kind {
            TargetKind::List => job.target.split(',').map(str::trim).collect(),
            TargetKind::Glob | TargetKind::Pcre | TargetKind::Grain | TargetKind::Compound => {
                vec![job.target.as_str()]
            }
        }
        .into_iter();
        let noted = |(key, value): (&String, &Value)| {
            job.metadata.as_ref().is_some_and(|metadata| metadata.get(key) == Some(value))
        };
        fits(&self.functions, &job.function)
            && targets.any(|target| fits(&self.targets, target))
            && (self.metadata.is_empty() || self.metadata.iter().any(noted))
    }
}

fn globs(patterns: Option<&Value>) -> Vec<Glob> {
    match patterns {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(patterns)) => patterns.iter().map(|pattern| Glob::new(&shown(pattern))).collect(),
        Some(patterns) => shown(patterns).split(',').map(|pattern| Glob::new(pattern.trim())).collect(),
    }
}

/// `jobs.list_jobs`: the jobs by id.
pub fn list_jobs<'j>(jobs: impl IntoIterator<Item = &'j Job>, filter: &JobFilter) -> Value {
    let asked_for = jobs.into_iter().filter(|job| filter.is_for(job));
    let shown: BTreeMap<&str, Value> =
        asked_for.map(|job| (job.jid.as_str(), job.head(false).into())).collect();
    json!(shown)
}

/// `jobs.list_job`: a job with what was returned; of one that is not kept, why there is nothing.
pub fn list_job(jid: &str, job: Option<&Job>) -> Value {
    let mut shown = Map::from_iter([("jid".to_owned(), jid.into())]);
    shown.extend(whole(jid, job));
    shown.into()
}

/// `jobs.print_job`: the same under the id.
pub fn print_job(jid: &str, job: Option<&Job>) -> Value {
    json!({ jid: whole(jid, job) })
}

/// `jobs.last_run`: the newest of the jobs that are asked for, or false.
pub fn last_run<'j>(jobs: impl IntoIterator<Item = &'j Job>, filter: &JobFilter) -> Value {
    let newest =
        jobs.into_iter().filter(|job| filter.is_for(job)).max_by(|one, other| one.jid.cmp(&other.jid));
    newest.map_or(Value::Bool(false), |job| print_job(&job.jid, Some(job)))
}

/// `jobs.active`: the jobs that run, with who is at work and who is done.
pub fn active<'j>(jobs: impl IntoIterator<Item = &'j Job>) -> Value {
    let running = jobs.into_iter().filter(|job| !job.running.is_empty());
    let shown: BTreeMap<&str, Value> = running
        .map(|job| {
            let mut shown = job.head(false);
            let at_work: Vec<Value> =
                job.running.iter().map(|(id, process)| json!({ id: process })).collect();
            shown.insert("Running".to_owned(), at_work.into());
            shown.insert("Returned".to_owned(), job.returned.keys().cloned().collect());
            (job.jid.as_str(), shown.into())
        })
        .collect();
    json!(shown)
}

/// `jobs.lookup_jid`: what minions returned, to be printed by [`together`](crate::output::together); with
/// `missing` also who did not return.
pub fn lookup(job: Option<&Job>, missing: bool) -> BTreeMap<String, Answer> {
    let Some(job) = job else { return BTreeMap::new() };
    let mut answers: BTreeMap<String, Answer> =
        job.returned.iter().map(|(id, returned)| (id.clone(), Answer::Returned(returned.clone()))).collect();
    if missing {
        for id in &job.minions {
            let nothing = || Answer::Returned(Returned::Value("Minion did not return".into()));
            answers.entry(id.clone()).or_insert_with(nothing);
        }
    }
    answers
}

fn whole(jid: &str, job: Option<&Job>) -> Map<String, Value> {
    let Some(job) = job else {
        return Map::from_iter([
            ("Error".to_owned(), "Cannot contact returner or no job with this jid".into()),
            ("StartTime".to_owned(), start_time(jid).into()),
            ("Result".to_owned(), json!({})),
        ]);
    };
    let mut shown = job.head(true);
    let results = job.returned.iter().map(|(id, returned)| (id.clone(), result(returned)));
    shown.insert("Result".to_owned(), results.collect::<Map<_, _>>().into());
    shown
}

fn result(returned: &Returned) -> Value {
    let retcode = returned.retcode();
    let mut result = json!({"return": returned.value(), "retcode": retcode, "success": retcode == 0});
    if let Some(outputter) = returned.outputter() {
        result["out"] = outputter.into();
    }
    result
}

impl Job {
    fn head(&self, with_minions: bool) -> Map<String, Value> {
        let target = match self.target_kind {
            TargetKind::List => self.target.split(',').map(str::trim).collect(),
            TargetKind::Glob | TargetKind::Pcre | TargetKind::Grain | TargetKind::Compound => {
                Value::from(self.target.as_str())
            }
        };
        let mut head = Map::from_iter([
            ("Function".to_owned(), self.function.as_str().into()),
            ("Arguments".to_owned(), self.arguments.clone().into()),
            ("Target".to_owned(), target),
            ("Target-type".to_owned(), self.target_kind.name().into()),
            ("User".to_owned(), self.user.as_str().into()),
        ]);
        if let Some(metadata) = &self.metadata {
            head.insert("Metadata".to_owned(), metadata.clone().into());
        }
        if with_minions {
            head.insert("Minions".to_owned(), self.minions.clone().into());
        }
        head.insert("StartTime".to_owned(), start_time(&self.jid).into());
        head
    }
}

/// The time in an id, such as `2026, Nov 25 22:52:33.123456`; nothing where it is no id.
fn start_time(jid: &str) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    if jid.len() != 20 || !jid.bytes().all(|byte| byte.is_ascii_digit()) {
        return String::new();
    }
    let month = jid[4..6].parse::<usize>().ok().and_then(|month| MONTHS.get(month.checked_sub(1)?));
    let (year, day, hour, minute, second, micro) =
        (&jid[..4], &jid[6..8], &jid[8..10], &jid[10..12], &jid[12..14], &jid[14..]);
    month.map_or_else(String::new, |month| format!("{year}, {month} {day} {hour}:{minute}:{second}.{micro}"))
}
