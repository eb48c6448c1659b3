//! When the certificates of the node are renewed. Nobody is asked: their files tell.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use metalk8s_pki::Life;
use metalk8s_types::fleet::Job;

/// How often it is looked at the latest: the clock may have been set, or somebody may have renewed them.
const LOOK: SignedDuration = SignedDuration::from_mins(1);
/// The shortest and the longest time between the first two attempts.
const AGAIN: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(15), SignedDuration::from_hours(1));
/// The time between attempts once a certificate has expired: what can be done without it was tried before.
const AFTER_END: SignedDuration = SignedDuration::from_mins(5);
/// How often the time between attempts is doubled.
const DOUBLINGS: u32 = 4;
/// How long a renewal may take: each certificate waits for the conductor.
const PATIENCE: u32 = 1800;

/// The renewals of a node, as its agent begins them.
#[derive(Debug)]
pub(crate) struct Renewals {
    node: String,
    lives: fn() -> Vec<Life>,
    look: Timestamp,
    attempt: Option<Attempt>,
}

/// The last job that should have renewed what is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attempt {
    began: Timestamp,
    /// How many there were since nothing was due.
    count: u32,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Begin the job.
    Begin,
    /// Look again at this moment; until then nothing is due, or an attempt must be given time.
    At(Timestamp),
}

impl Renewals {
    /// Of the node of this name; `lives` are those of its certificates.
    pub(crate) fn new(node: &str, lives: fn() -> Vec<Life>) -> Self {
        Self { node: node.to_owned(), lives, look: Timestamp::UNIX_EPOCH, attempt: None }
    }

    /// Whether the job is to be begun now. `is_busy` says that one is being carried out.
    pub(crate) fn begin(&mut self, is_busy: bool, now: Timestamp) -> bool {
        if now < self.look {
            return false;
        }
        let lives = (self.lives)();
        if !lives.iter().any(|life| life.renewal(&self.node) <= now) {
            self.attempt = None;
        }
        match decide(&self.node, &lives, self.attempt, now) {
            Next::Begin if is_busy => self.look = now + AGAIN.0,
            Next::Begin => {
                let count = self.attempt.map_or(1, |attempt| attempt.count.saturating_add(1));
                self.attempt = Some(Attempt { began: now, count });
                self.look = now + AGAIN.0;
                return true;
            }
            Next::At(moment) => self.look = moment.min(now + LOOK),
        }
        false
    }

    /// How long until there is something to look at.
    pub(crate) fn wait(&self, now: Timestamp) -> Duration {
        Duration::try_from(self.look.duration_since(now).min(LOOK)).unwrap_or(Duration::ZERO)
    }
}

/// The name of a job that begins now: 20 digits, as the names of all jobs.
pub(crate) fn job_name(now: Timestamp) -> String {
    now.strftime("%Y%m%d%H%M%S%6f").to_string()
}

/// The job that renews whatever is due, and nothing else.
pub(crate) fn job(now: Timestamp) -> Job {
    Job {
        function: "state.apply".into(),
        arguments: vec!["metalk8s.certificates.renewed".into(), "queue=True".into()],
        once: false,
        expires: now + SignedDuration::from_secs(PATIENCE.into()),
        timeout_seconds: PATIENCE,
        cancelled: false,
    }
}

fn decide(node: &str, lives: &[Life], attempt: Option<Attempt>, now: Timestamp) -> Next {
    let due = lives.iter().filter(|life| life.renewal(node) <= now);
    let Some(first_end) = due.map(|life| life.end).min() else {
        let next = lives.iter().map(|life| life.renewal(node)).min();
        return Next::At(next.unwrap_or(now + LOOK));
    };
    match attempt.map(|attempt| attempt.began + pause(first_end.duration_since(now), attempt.count)) {
        Some(again) if now < again => Next::At(again),
        _ => Next::Begin,
    }
}

/// How long after an attempt the next one begins: the less time is left, the sooner.
fn pause(left: SignedDuration, count: u32) -> SignedDuration {
    if !left.is_positive() {
        return AFTER_END;
    }
    let (shortest, longest) = AGAIN;
    let first = (left / 12).clamp(shortest, longest);
    let doubled = first * 2_i32.pow(count.saturating_sub(1).min(DOUBLINGS));
    doubled.min((left / 3).max(shortest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// Ten minutes: due after 400 s, and on each node within 18 s after that.
    const LIFE: fn() -> Vec<Life> = || vec![Life { begin: at(0), end: at(600) }];

    #[test]
    fn nothing_is_begun_before_it_is_due_and_the_next_look_is_then() {
        let mut renewals = Renewals::new("node-1", LIFE);
        let renewal = LIFE()[0].renewal("node-1");
        let before = renewal - SignedDuration::from_secs(20);
        assert!(!renewals.begin(false, before));
        assert_eq!(renewals.wait(before), Duration::from_secs(20));
        assert!(renewals.begin(false, renewal));
    }

    #[test]
    fn an_attempt_that_renewed_nothing_is_repeated_later_and_later_but_before_the_end() {
        let mut renewals = Renewals::new("node-1", LIFE);
        let begun: Vec<i64> = (400..2000).filter(|second| renewals.begin(false, at(*second))).collect();
        assert!(begun.windows(2).all(|pair| pair[1] - pair[0] >= 15), "{begun:?}");
        assert!(begun.iter().filter(|second| **second < 600).count() >= 4, "{begun:?}");
        let after: Vec<&i64> = begun.iter().filter(|second| **second > 600).collect();
        assert!((3..6).contains(&after.len()), "also after the end, and seldom: {begun:?}");
    }

    #[test]
    fn a_renewal_that_is_going_on_is_not_begun_twice() {
        let mut renewals = Renewals::new("node-1", LIFE);
        assert!(!renewals.begin(true, at(500)));
        assert!(renewals.begin(false, at(520)));
    }

    #[test]
    fn with_a_year_to_live_an_hour_passes_between_the_first_attempts_and_never_a_day() {
        let left = SignedDuration::from_hours(24 * 120);
        assert_eq!(pause(left, 1), SignedDuration::from_hours(1));
        assert_eq!(pause(left, 1000), SignedDuration::from_hours(16));
        assert_eq!(pause(SignedDuration::from_secs(9), 9), SignedDuration::from_secs(15));
    }

    #[test]
    fn where_there_is_no_certificate_nothing_is_begun() {
        assert!(!Renewals::new("node-1", Vec::new).begin(false, at(0)));
    }

    #[test]
    fn the_name_of_a_job_is_the_moment_in_20_digits() {
        assert_eq!(job_name("2026-01-12T07:11:30.203596Z".parse().unwrap()), "20260112071130203596");
    }
}
