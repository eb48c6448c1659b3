//! When the node is compared with what it shall be, and what the API is told of it. Pure, but for reading a file.

use std::{fs, path::Path, time::Duration};

use jiff::{SignedDuration, Timestamp};
use metalk8s_types::fleet::{AgentStatus, Condition, DRIFTED, Drift};
use serde_json::{Map, json};

/// How long after the last change by a job the node is looked at: most come in a row.
const AFTER_CHANGES: SignedDuration = SignedDuration::from_secs(10);

/// How long after a look that could see nothing the next one is: the API may be back.
const AFTER_FAILURE: SignedDuration = SignedDuration::from_mins(5);

/// When the node is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule {
    every: Duration,
    offset: Duration,
    next: Timestamp,
    /// The moment of a look out of turn.
    extra: Option<Timestamp>,
}

impl Schedule {
    /// Every so often, at a moment that the node's name chooses, so that not all nodes look at once; never where
    /// `every` is zero.
    pub(crate) fn new(node: &str, every: Duration, now: Timestamp) -> Self {
        let seconds = every.as_secs().max(1);
        let mut schedule =
            Self { every, offset: Duration::from_secs(stable_hash(node) % seconds), next: now, extra: None };
        schedule.next = schedule.slot_after(now);
        schedule
    }

    /// A job has changed something.
    pub(crate) fn changed(&mut self, now: Timestamp) {
        self.extra = Some(now + AFTER_CHANGES);
    }

    /// A look has ended; this is what was seen.
    pub(crate) fn ended(&mut self, seen: Option<&Drift>, now: Timestamp) {
        if self.extra.is_none() && !self.every.is_zero() && seen.is_none_or(|seen| seen.error.is_some()) {
            self.extra = Some(now + AFTER_FAILURE);
        }
    }

    /// Whether to look now. While jobs are carried out, the node may be half of something.
    pub(crate) fn is_due(&self, now: Timestamp, is_busy: bool) -> bool {
        !is_busy && self.due_at().is_some_and(|due| now >= due)
    }

    /// A look begins.
    pub(crate) fn begun(&mut self, now: Timestamp) {
        self.extra = None;
        self.next = self.slot_after(now);
    }

    /// How long until the next look.
    pub(crate) fn wait(&self, now: Timestamp) -> Option<Duration> {
        let left = now.until(self.due_at()?).ok()?;
        Some(Duration::try_from(SignedDuration::try_from(left).ok()?).unwrap_or_default())
    }

    fn due_at(&self) -> Option<Timestamp> {
        let by_clock = (!self.every.is_zero()).then_some(self.next);
        by_clock.into_iter().chain(self.extra).min()
    }

    fn slot_after(&self, now: Timestamp) -> Timestamp {
        let every = i64::try_from(self.every.as_secs().max(1)).unwrap_or(i64::MAX);
        let offset = i64::try_from(self.offset.as_secs()).unwrap_or_default();
        let since = (now.as_second() - offset).rem_euclid(every);
        now.checked_add(SignedDuration::from_secs(every - since)).unwrap_or(Timestamp::MAX)
    }
}

/// FNV-1a: the same for a name on every machine and in every version.
fn stable_hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// What was seen last; `None` where nothing was.
pub(crate) fn seen(path: &Path) -> Option<Drift> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// The part of the status that the API does not know: a merge patch, empty where it knows all.
pub(crate) fn report(knows: &AgentStatus, seen: &Drift) -> Map<String, serde_json::Value> {
    if knows.drift.as_ref() == Some(seen) {
        return Map::new();
    }
    let is_drifted = |condition: &&Condition| condition.kind == DRIFTED;
    let condition = seen.condition(knows.conditions.iter().find(is_drifted));
    let others = knows.conditions.iter().filter(|condition| !is_drifted(condition)).cloned();
    let conditions: Vec<Condition> = others.chain([condition]).collect();
    // What is not named in a merge patch stays.
    let mut drift = json!(seen);
    drift["error"] = json!(seen.error);
    drift["states"] = json!(seen.states);
    [("drift".to_owned(), drift), ("conditions".to_owned(), json!(conditions))].into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn drift(changes: u32, since: i64) -> Drift {
        let states = (0..changes).map(|number| number.to_string()).collect();
        Drift { changes, states, unchecked: 0, error: None, since: at(since) }
    }

    #[test]
    fn a_node_looks_once_an_hour_at_its_own_moment() {
        let mut schedule = Schedule::new("node-1", HOUR, at(10_000));
        let first = at(10_000) + SignedDuration::try_from(schedule.wait(at(10_000)).unwrap()).unwrap();
        assert!(first > at(10_000) && first <= at(13_600));
        assert!(!schedule.is_due(at(10_000), false));
        assert!(schedule.is_due(first, false) && !schedule.is_due(first, true));
        schedule.begun(first + SignedDuration::from_secs(5));
        assert_eq!(schedule.next, first + SignedDuration::from_hours(1));
        assert_eq!(Schedule::new("node-1", HOUR, first + SignedDuration::from_secs(5)).next, schedule.next);
    }

    #[test]
    fn the_moments_of_many_nodes_are_spread_over_the_hour() {
        let mut quarters = [0; 4];
        for number in 0..1000 {
            let offset = Schedule::new(&format!("node-{number}"), HOUR, at(0)).offset.as_secs();
            quarters[usize::try_from(offset / 900).unwrap()] += 1;
        }
        assert!(quarters.iter().all(|count| (150..350).contains(count)), "{quarters:?}");
    }

    #[test]
    fn a_node_is_looked_at_soon_after_the_last_of_several_changes() {
        let mut schedule = Schedule::new("node-1", Duration::ZERO, at(0));
        assert_eq!(schedule.wait(at(100_000)), None, "never by the clock");
        schedule.changed(at(100));
        schedule.changed(at(105));
        assert!(!schedule.is_due(at(110), false));
        assert!(schedule.is_due(at(115), false));
        schedule.begun(at(115));
        assert!(!schedule.is_due(at(1000), false));
    }

    #[test]
    fn a_look_that_could_see_nothing_is_taken_again_soon() {
        let mut schedule = Schedule::new("node-1", HOUR, at(0));
        let next = schedule.next;
        schedule.begun(next);
        schedule.ended(Some(&drift(2, 0)), next);
        assert_eq!(schedule.wait(next), Some(HOUR));
        let blind = Drift { error: Some("the API is away".into()), ..drift(0, 0) };
        schedule.ended(Some(&blind), next);
        assert_eq!(schedule.wait(next), Some(Duration::from_secs(300)));
    }

    #[test]
    fn the_api_is_told_only_what_it_does_not_know() {
        let first = report(&AgentStatus::default(), &drift(2, 10));
        let conditions: Vec<Condition> = serde_json::from_value(first["conditions"].clone()).unwrap();
        assert_eq!((&*conditions[0].kind, &*conditions[0].status), (DRIFTED, "True"));
        let other = Condition { kind: "Other".into(), ..conditions[0].clone() };
        let knows = AgentStatus {
            drift: Some(serde_json::from_value(first["drift"].clone()).unwrap()),
            conditions: vec![other.clone(), conditions[0].clone()],
            ..AgentStatus::default()
        };
        assert!(report(&knows, &drift(2, 10)).is_empty());
        let gone = report(&knows, &drift(0, 20));
        let conditions: Vec<Condition> = serde_json::from_value(gone["conditions"].clone()).unwrap();
        assert_eq!(conditions[0], other, "what others said of it stays");
        assert_eq!((conditions.len(), &*conditions[1].status), (2, "False"));
        assert_eq!(gone["drift"]["states"], json!([]), "an absent list would stay in a merge patch");
        assert_eq!(gone["drift"]["error"], json!(null));
    }

    #[test]
    fn a_file_that_is_not_there_or_not_whole_tells_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drift.json");
        assert_eq!(seen(&path), None);
        fs::write(&path, "{\"cha").unwrap();
        assert_eq!(seen(&path), None);
        fs::write(&path, serde_json::to_vec(&drift(1, 5)).unwrap()).unwrap();
        assert_eq!(seen(&path), Some(drift(1, 5)));
    }
}
