//! When a certificate is renewed. Pure.

use jiff::{SignedDuration, Timestamp};

/// Of a thousand parts of a certificate's life, how many the renewals of different nodes are spread over.
const SPREAD: u64 = 30;

/// The life of a certificate: from and to these moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// It is valid from this moment on.
    pub begin: Timestamp,
    /// It is not valid any more at this moment.
    pub end: Timestamp,
}

impl Life {
    /// When it may be renewed: two thirds of its life are over.
    pub fn due(self) -> Timestamp {
        // Rounded up to whole seconds, as `is_due` counts.
        let seconds = self.seconds();
        self.after((2 * seconds).div_ceil(3))
    }

    /// Whether it may be renewed.
    pub fn is_due(self, now: Timestamp) -> bool {
        now >= self.due()
    }

    /// When the node of this name renews it: a little after it may, and not at the moment of the others.
    pub fn renewal(self, node: &str) -> Timestamp {
        let share = stable_hash(node) % 1000;
        let delay = self.seconds() * SPREAD * share / 1_000_000;
        self.due() + SignedDuration::from_secs(i64::try_from(delay).unwrap_or(0))
    }

    /// When it is late: every node should have renewed it, and was given time to try again.
    pub fn overdue(self) -> Timestamp {
        let delay = self.seconds() * 2 * SPREAD / 1000;
        self.due() + SignedDuration::from_secs(i64::try_from(delay).unwrap_or(0))
    }

    fn seconds(self) -> u64 {
        u64::try_from(self.end.as_second() - self.begin.as_second()).unwrap_or(0)
    }

    fn after(self, seconds: u64) -> Timestamp {
        let moment =
            i64::try_from(seconds).ok().and_then(|seconds| self.begin.as_second().checked_add(seconds));
        moment.and_then(|second| Timestamp::from_second(second).ok()).unwrap_or(self.end)
    }
}

/// FNV-1a: the same on every machine and in every version.
fn stable_hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn life(begin: i64, seconds: i64) -> Life {
        let at = |second| Timestamp::from_second(second).unwrap();
        Life { begin: at(begin), end: at(begin + seconds) }
    }

    #[test]
    fn it_is_due_after_two_thirds() {
        let life = life(1_800_000_000, 300);
        assert!(!life.is_due(Timestamp::from_second(1_800_000_199).unwrap()));
        assert!(life.is_due(Timestamp::from_second(1_800_000_200).unwrap()));
    }

    #[test]
    fn nodes_renew_at_moments_of_their_own_and_always_the_same() {
        let life = life(1_800_000_000, 365 * 86_400);
        let moments: std::collections::BTreeSet<_> =
            (0..50).map(|number| life.renewal(&format!("node-{number}"))).collect();
        assert!(moments.len() > 45, "{}", moments.len());
        assert_eq!(life.renewal("node-1"), life.renewal("node-1"));
    }

    proptest! {
        #[test]
        fn a_renewal_comes_after_it_is_due_and_before_it_is_late(
            seconds in 60_i64..4_000_000_000, begin in 0_i64..4_000_000_000, node in "[a-z0-9-]{1,20}",
        ) {
            let life = life(begin, seconds);
            let renewal = life.renewal(&node);
            prop_assert!(life.is_due(renewal) && renewal <= life.overdue() && life.overdue() < life.end);
        }
    }
}
