//! What the API is told: the difference between what it knows and what is remembered, bounded.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use metalk8s_types::fleet::{JobState, JobStatus};
use serde_json::{Map, Value};

use crate::spool::Remembered;

/// How many jobs are told of.
const JOBS: usize = 40;
/// How long a job is remembered after its end.
const AGE: SignedDuration = SignedDuration::from_hours(24);
/// How many bytes all jobs together may have as they are sent: an object of etcd has 1.5 MiB at most.
const ALL: usize = 1 << 20;
/// How many bytes one job may have.
const ONE: usize = 320 << 10;

/// A job that ends sooner is told once, with its end.
const SHORT: SignedDuration = SignedDuration::from_millis(250);

/// What is to be told and forgotten.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Report {
    /// `status.jobs` as a merge patch; empty where the API knows all.
    pub(crate) jobs: Map<String, Value>,
    /// Jobs that need not be remembered any more.
    pub(crate) forget: Vec<String>,
    /// A job has just been begun: there is more to tell after that time.
    pub(crate) soon: Option<Duration>,
}

/// The report for what the API `knows`. Jobs that are still wished for are not forgotten: they would be begun
/// again.
pub(crate) fn report(
    knows: &BTreeMap<String, JobStatus>,
    remembered: &BTreeMap<String, Remembered>,
    begun: &BTreeMap<String, Timestamp>,
    is_wished: impl Fn(&str) -> bool,
    now: Timestamp,
) -> Report {
    let mut report = Report::default();
    let mut kept: BTreeMap<&str, JobStatus> = BTreeMap::new();
    let mut size = 0;
    // The newest first: names are moments.
    for (name, memory) in remembered.iter().rev() {
        let status = match &memory.outcome {
            Some(outcome) => bounded(outcome),
            None => running(&memory.job.function, begun.get(name).copied().unwrap_or(now)),
        };
        let is_old = status.finished.is_some_and(|end| now.duration_since(end) > AGE);
        let bytes = sent(&status);
        let has_room = kept.len() < JOBS && size + bytes <= ALL;
        if status.state.is_final() && (is_old || !has_room) {
            if !is_wished(name) {
                report.forget.push(name.clone());
            }
            continue;
        }
        size += bytes;
        kept.insert(name, status);
    }
    for (name, status) in &kept {
        let known = knows.get(*name);
        let same = known.is_some_and(|known| match status.state {
            JobState::Running => known.state == JobState::Running,
            _ => known == status,
        });
        let is_new = known.is_none() && status.state == JobState::Running;
        // One that an earlier agent has begun is not in `begun`, and told at once.
        let age = begun.get(*name).filter(|_| is_new).map(|begun| now.duration_since(*begun));
        if let Some(left) = age.map(|age| SHORT - age).filter(|left| left.is_positive()) {
            let left = left.unsigned_abs();
            report.soon = Some(report.soon.map_or(left, |soon| soon.min(left)));
        } else if !same {
            report.jobs.insert((*name).to_owned(), status.told().into());
        }
    }
    for name in knows.keys().filter(|name| !kept.contains_key(name.as_str())) {
        report.jobs.insert(name.clone(), Value::Null);
    }
    report
}

fn running(function: &str, started: Timestamp) -> JobStatus {
    JobStatus {
        state: JobState::Running,
        function: function.to_owned(),
        started,
        finished: None,
        retcode: None,
        result: None,
        outputter: None,
        error: None,
    }
}

/// How many bytes a job has as it is sent: a text in JSON, of which each quote takes more than one.
fn sent(status: &JobStatus) -> usize {
    Value::from(status.told()).to_string().len()
}

/// A result that is too large stays on the node.
fn bounded(status: &JobStatus) -> JobStatus {
    match &status.result {
        Some(result) if sent(status) > ONE => JobStatus {
            result: None,
            error: Some(format!(
                "the result has {} bytes, more than can be handed on; it is on the node",
                result.len()
            )),
            ..status.clone()
        },
        _ => status.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::testing::job;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn done(bytes: usize) -> Remembered {
        let outcome = JobStatus {
            state: JobState::Done,
            finished: Some(now()),
            retcode: Some(0),
            result: Some("x".repeat(bytes)),
            ..running("test.ping", now())
        };
        Remembered { job: job(), outcome: Some(outcome), process: None }
    }

    fn told(report: &Report) -> BTreeMap<String, JobStatus> {
        let told = report.jobs.iter().filter(|(_, status)| !status.is_null());
        let read = |status: &Value| serde_json::from_str(status.as_str().unwrap()).unwrap();
        told.map(|(name, status)| (name.clone(), read(status))).collect()
    }

    #[test]
    fn what_the_api_knows_already_is_not_told_again() {
        let remembered = BTreeMap::from([("1".to_owned(), done(1))]);
        let first = report(&BTreeMap::new(), &remembered, &BTreeMap::new(), |_| true, now());
        assert_eq!(told(&first)["1"].state, JobState::Done);
        let second = report(&told(&first), &remembered, &BTreeMap::new(), |_| true, now());
        assert_eq!(second, Report::default());
    }

    #[test]
    fn a_job_that_has_just_begun_is_told_a_little_later() {
        let remembered =
            BTreeMap::from([("1".to_owned(), Remembered { job: job(), outcome: None, process: None })]);
        let begun = BTreeMap::from([("1".to_owned(), now())]);
        let at = |milliseconds| {
            let now = now() + SignedDuration::from_millis(milliseconds);
            report(&BTreeMap::new(), &remembered, &begun, |_| true, now)
        };
        assert_eq!(at(50), Report { soon: Some(Duration::from_millis(200)), ..Report::default() });
        let later = at(250);
        assert_eq!((told(&later)["1"].state, later.soon), (JobState::Running, None));
        let of_an_earlier_agent = report(&BTreeMap::new(), &remembered, &BTreeMap::new(), |_| true, now());
        assert_eq!(told(&of_an_earlier_agent)["1"].state, JobState::Running);
    }

    #[test]
    fn the_oldest_make_room_and_what_is_wished_is_remembered() {
        let remembered: BTreeMap<_, _> = (10..70).map(|number| (number.to_string(), done(1))).collect();
        let report = report(&BTreeMap::new(), &remembered, &BTreeMap::new(), |name| name == "10", now());
        let told = told(&report);
        assert_eq!(told.len(), JOBS);
        assert!(told.contains_key("69") && !told.contains_key("29"));
        assert_eq!(report.forget.len(), 60 - JOBS - 1);
        assert!(!report.forget.contains(&"10".to_owned()));
    }

    #[test]
    fn results_are_bounded_one_by_one_and_together() {
        let nothing = (BTreeMap::new(), BTreeMap::new());
        let told_of = |remembered: &BTreeMap<String, Remembered>| {
            report(&nothing.0, remembered, &nothing.1, |_| true, now()).jobs
        };
        let many: BTreeMap<_, _> = (0..9).map(|number| (number.to_string(), done(ONE - 1024))).collect();
        let sent = Value::from(told_of(&many)).to_string().len();
        assert!(ALL - ONE < sent && sent <= ALL, "{sent}");
        for large in [done(ONE), Remembered { outcome: Some(quotes(ONE / 4)), ..done(0) }] {
            let report =
                report(&nothing.0, &BTreeMap::from([("1".to_owned(), large)]), &nothing.1, |_| true, now());
            let status = &told(&report)["1"];
            assert_eq!(status.result, None);
            assert!(status.error.as_ref().unwrap().contains("bytes"));
        }
    }

    /// A result of which each character is written with three more.
    fn quotes(count: usize) -> JobStatus {
        JobStatus { result: Some("\"".repeat(count)), ..done(0).outcome.unwrap() }
    }

    #[test]
    fn a_day_after_its_end_a_job_is_forgotten() {
        let remembered = BTreeMap::from([("1".to_owned(), done(1))]);
        let knows = told(&report(&BTreeMap::new(), &remembered, &BTreeMap::new(), |_| false, now()));
        let later = now() + AGE + SignedDuration::from_secs(1);
        let report = report(&knows, &remembered, &BTreeMap::new(), |_| false, later);
        assert_eq!(report.forget, ["1"]);
        assert_eq!(report.jobs["1"], Value::Null);
    }
}
