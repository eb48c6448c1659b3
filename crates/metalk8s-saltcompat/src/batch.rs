//! A job that is given to some minions at a time (`--batch-size`).

use std::{
    collections::{BTreeSet, VecDeque},
    str::FromStr,
};

use serde_json::Value;

use crate::output::python;

/// How many minions work at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BatchSize {
    /// So many.
    Count(usize),
    /// Such a part of all.
    Percent(f64),
}

impl FromStr for BatchSize {
    type Err = String;

    /// `3`, `25%` or, as Salt allows, `%25`.
    fn from_str(text: &str) -> Result<Self, String> {
        let percent = text.strip_suffix('%').or(text.strip_prefix('%'));
        let size = match percent {
            Some(percent) => {
                percent.parse().ok().filter(|part| *part > 0.0 && *part <= 100.0).map(Self::Percent)
            }
            None => text.parse().ok().filter(|count| *count > 0).map(Self::Count),
        };
        size.ok_or_else(|| format!("`{text}` is neither a number such as `3` nor a part such as `25%`"))
    }
}

impl BatchSize {
    /// How many that are of so many minions, at least one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a part of the minions is not negative and not more than they are"
    )]
    pub fn of(self, minions: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => ((percent / 100.0 * minions as f64) as usize).max(1),
        }
    }
}

/// The minions of a job: who waits, who works, and whether the others may still begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    size: usize,
    fail_hard: bool,
    waiting: VecDeque<String>,
    working: BTreeSet<String>,
    failed: bool,
}

impl Batch {
    /// All wait. With `fail_hard` none begins after one failed.
    pub fn new(size: BatchSize, minions: BTreeSet<String>, fail_hard: bool) -> Self {
        Self {
            size: size.of(minions.len()),
            fail_hard,
            waiting: minions.into_iter().collect(),
            working: BTreeSet::new(),
            failed: false,
        }
    }

    /// Those that begin now, as many as there is room for.
    pub fn begin(&mut self) -> Vec<String> {
        if self.is_stopped() {
            return Vec::new();
        }
        let room = self.size.saturating_sub(self.working.len()).min(self.waiting.len());
        let begun: Vec<String> = self.waiting.drain(..room).collect();
        self.working.extend(begun.iter().cloned());
        begun
    }

    /// Notes that one returned, or did not in time; then its status is 1.
    pub fn ended(&mut self, minion: &str, retcode: u8) {
        if self.working.remove(minion) && retcode != 0 {
            self.failed = true;
        }
    }

    /// Whether nobody works any more, and nobody will begin.
    pub fn is_over(&self) -> bool {
        self.working.is_empty() && (self.waiting.is_empty() || self.is_stopped())
    }

    /// Whether one failed and the others therefore do not begin.
    pub fn is_stopped(&self) -> bool {
        self.fail_hard && self.failed
    }

    /// Those that did not begin.
    pub fn waiting(&self) -> impl Iterator<Item = &str> {
        self.waiting.iter().map(String::as_str)
    }
}

/// What is printed when some begin.
pub fn begun(minions: &[String]) -> String {
    let names: Value = minions.to_vec().into();
    format!("\nExecuting run on {}\n\n", python::repr(&names))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Batch, BatchSize, begun};

    fn batch(size: &str, minions: usize, fail_hard: bool) -> Batch {
        let minions: BTreeSet<String> = (1..=minions).map(|number| format!("n{number}")).collect();
        Batch::new(size.parse().unwrap(), minions, fail_hard)
    }

    #[test]
    fn sizes_are_numbers_or_parts() {
        for (size, minions, expect) in [
            ("3", 10, 3),
            ("3", 2, 3),
            ("25%", 10, 2),
            ("%25", 8, 2),
            ("1%", 10, 1),
            ("100%", 7, 7),
            ("12.5%", 8, 1),
        ] {
            assert_eq!(size.parse::<BatchSize>().unwrap().of(minions), expect, "{size} of {minions}");
        }
        for size in ["", "0", "-1", "x", "0%", "101%", "NaN%", "%"] {
            assert!(size.parse::<BatchSize>().is_err(), "{size}");
        }
    }

    #[test]
    fn room_is_filled_as_soon_as_one_ends() {
        let mut batch = batch("2", 4, false);
        assert_eq!(batch.begin(), ["n1", "n2"]);
        assert!(batch.begin().is_empty());
        batch.ended("n2", 1);
        assert_eq!(batch.begin(), ["n3"]);
        batch.ended("n1", 0);
        batch.ended("n3", 0);
        assert!(!batch.is_over());
        assert_eq!(batch.begin(), ["n4"]);
        batch.ended("n4", 0);
        assert!(batch.is_over());
    }

    #[test]
    fn nobody_begins_after_a_failure_when_that_is_wished() {
        let mut batch = batch("2", 4, true);
        batch.begin();
        batch.ended("n1", 2);
        assert!(batch.begin().is_empty());
        assert!(!batch.is_over(), "n2 still works");
        batch.ended("n2", 0);
        assert!(batch.is_over() && batch.is_stopped());
        assert_eq!(batch.waiting().collect::<Vec<_>>(), ["n3", "n4"]);
    }

    #[test]
    fn who_does_not_work_cannot_end() {
        let mut batch = batch("1", 2, true);
        batch.begin();
        batch.ended("n2", 1);
        assert!(!batch.is_stopped());
    }

    #[test]
    fn beginning_is_told_in_salts_words() {
        assert_eq!(begun(&["a".into(), "b".into()]), "\nExecuting run on ['a', 'b']\n\n");
    }
}
