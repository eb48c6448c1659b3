//! What is to be done about jobs. Pure: wishes and memory in, decisions out.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use metalk8s_types::fleet::{Job, JobState, JobStatus};

use crate::spool::Remembered;

/// How many jobs are carried out at the same time.
const AT_ONCE: usize = 8;
/// How long a wish that came too late is answered; whoever wished it has gone after that.
const ANSWERED: SignedDuration = SignedDuration::from_hours(1);

/// Something to do about a job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Begin it.
    Begin(String),
    /// Say that it ended like this, which nobody else will.
    Conclude(String, JobStatus),
    /// End the process that carries it out.
    Stop(String),
}

/// Decides about the jobs that the API wishes and those that are remembered.
pub(crate) fn decide(
    wished: &BTreeMap<String, Job>,
    remembered: &BTreeMap<String, Remembered>,
    now: Timestamp,
) -> Vec<Action> {
    let mut actions = Vec::new();
    let running = |memory: &&Remembered| memory.outcome.is_none() && memory.process.is_some();
    let mut busy = remembered.values().filter(running).count();
    for (name, memory) in remembered {
        if memory.outcome.is_some() {
            continue;
        }
        let is_cancelled = wished.get(name).is_some_and(|job| job.cancelled);
        match memory.process {
            Some(_) if is_cancelled => actions.push(Action::Stop(name.clone())),
            Some(_) => {}
            // Its process is gone, and has not said how it went.
            None if is_cancelled => {
                actions.push(conclude(
                    name,
                    &memory.job,
                    JobState::Interrupted,
                    "somebody cancelled it",
                    now,
                ));
            }
            None if memory.job.once => {
                let why = "it was ended before its end, and must not be run twice";
                actions.push(conclude(name, &memory.job, JobState::Interrupted, why, now));
            }
            None if busy < AT_ONCE => {
                busy += 1;
                actions.push(Action::Begin(name.clone()));
            }
            None => {}
        }
    }
    for (name, job) in wished.iter().filter(|(name, _)| !remembered.contains_key(*name)) {
        if now >= job.expires {
            if now.duration_since(job.expires) < ANSWERED {
                actions.push(conclude(name, job, JobState::Refused, "it came too late", now));
            }
        } else if job.cancelled {
            actions.push(conclude(name, job, JobState::Refused, "somebody cancelled it", now));
        } else if busy < AT_ONCE {
            busy += 1;
            actions.push(Action::Begin(name.clone()));
        }
    }
    actions
}

fn conclude(name: &str, job: &Job, state: JobState, why: &str, now: Timestamp) -> Action {
    Action::Conclude(name.to_owned(), concluded(job, state, why, now))
}

/// The outcome of a job that has no result.
pub(crate) fn concluded(job: &Job, state: JobState, why: &str, now: Timestamp) -> JobStatus {
    JobStatus {
        state,
        function: job.function.clone(),
        started: now,
        finished: Some(now),
        retcode: Some(1),
        result: None,
        outputter: None,
        error: Some(why.to_owned()),
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A job that is good until 2030.
    pub(crate) fn job() -> Job {
        Job {
            function: "test.ping".into(),
            arguments: Vec::new(),
            once: false,
            expires: "2030-01-01T00:00:00Z".parse().unwrap(),
            timeout_seconds: 60,
            cancelled: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::job, *};
    use crate::process::Process;

    fn wished(jobs: &[(&str, Job)]) -> BTreeMap<String, Job> {
        jobs.iter().map(|(name, job)| ((*name).to_owned(), job.clone())).collect()
    }

    fn memory(job: Job, lives: bool) -> BTreeMap<String, Remembered> {
        let process = lives.then_some(Process { pid: 1, started: 1 });
        BTreeMap::from([("1".to_owned(), Remembered { job, outcome: None, process })])
    }

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn state_of(actions: &[Action]) -> Option<JobState> {
        match actions {
            [Action::Conclude(_, status)] => Some(status.state),
            _ => None,
        }
    }

    #[test]
    fn a_new_job_is_begun_and_a_running_one_left_alone() {
        assert_eq!(decide(&wished(&[("1", job())]), &BTreeMap::new(), now()), [Action::Begin("1".into())]);
        assert_eq!(decide(&wished(&[("1", job())]), &memory(job(), true), now()), []);
    }

    #[test]
    fn a_job_whose_process_died_is_begun_again_unless_it_must_be_run_once() {
        assert_eq!(decide(&wished(&[]), &memory(job(), false), now()), [Action::Begin("1".into())]);
        let once = Job { once: true, ..job() };
        let actions = decide(&wished(&[("1", once.clone())]), &memory(once, false), now());
        assert_eq!(state_of(&actions), Some(JobState::Interrupted));
    }

    #[test]
    fn a_job_that_came_too_late_is_refused_and_later_not_even_answered() {
        let late = Job { expires: now(), ..job() };
        let wishes = wished(&[("1", late)]);
        assert_eq!(state_of(&decide(&wishes, &BTreeMap::new(), now())), Some(JobState::Refused));
        assert_eq!(decide(&wishes, &BTreeMap::new(), now() + ANSWERED), []);
    }

    #[test]
    fn a_cancelled_job_is_stopped_or_not_begun() {
        let wishes = wished(&[("1", Job { cancelled: true, ..job() })]);
        assert_eq!(decide(&wishes, &memory(job(), true), now()), [Action::Stop("1".into())]);
        assert_eq!(state_of(&decide(&wishes, &BTreeMap::new(), now())), Some(JobState::Refused));
        assert_eq!(state_of(&decide(&wishes, &memory(job(), false), now())), Some(JobState::Interrupted));
    }

    #[test]
    fn only_so_many_are_carried_out_at_once() {
        let many: Vec<_> = (0..20).map(|number| (format!("{number}"), job())).collect();
        assert_eq!(decide(&many.into_iter().collect(), &BTreeMap::new(), now()).len(), AT_ONCE);
    }
}
