//! Waiting for a condition, always with a deadline.

use std::{
    fmt, thread,
    time::{Duration, Instant},
};

/// The shortest and the longest time between two looks at a condition; in between it is what the last look took, as
/// looking must not keep what is waited for from coming.
const INTERVAL: Duration = Duration::from_millis(200);
const LONGEST_INTERVAL: Duration = Duration::from_secs(1);
/// What takes seconds on an idle computer has that long, as the computer may be busy: a wait ends as soon as what it waits
/// for is there, so only one that waits in vain takes all of it.
pub const SOON: Duration = Duration::from_secs(180);

/// A condition that did not come true in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {} s for {what}{}", deadline.as_secs(), last.as_ref().map(|last| format!("; at the end: {last}")).unwrap_or_default())]
pub struct WaitError {
    /// What was waited for.
    pub what: String,
    /// How long.
    pub deadline: Duration,
    /// What the last look found instead.
    pub last: Option<String>,
}

/// Looks again and again until `look` gives `Ok`; its last `Err` is part of the error.
///
/// A look may take long by itself: the deadline is checked between two looks, and there is always a first one.
pub fn wait_until<T, E: fmt::Display>(
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> Result<T, E>,
) -> Result<T, WaitError> {
    let end = Instant::now() + deadline;
    loop {
        let began = Instant::now();
        match look() {
            Ok(found) => return Ok(found),
            Err(last) if Instant::now() >= end => {
                return Err(WaitError { what: what.to_owned(), deadline, last: Some(last.to_string()) });
            }
            Err(_) => thread::sleep(began.elapsed().clamp(INTERVAL, LONGEST_INTERVAL)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_is_true_at_once_needs_no_time() {
        assert_eq!(wait_until("it", Duration::ZERO, || Ok::<_, String>(7)).unwrap(), 7);
    }

    #[test]
    fn the_error_says_what_was_waited_for_and_what_was_seen_last() {
        let error = wait_until("the node", Duration::ZERO, || Err::<(), _>("NotReady")).unwrap_err();
        assert_eq!(error.to_string(), "waited 0 s for the node; at the end: NotReady");
    }

    #[test]
    fn a_condition_may_come_true_later() {
        let mut looks = 0;
        let found = wait_until("it", Duration::from_secs(60), || {
            looks += 1;
            if looks == 3 { Ok(looks) } else { Err("not yet") }
        });
        assert_eq!(found.unwrap(), 3);
    }
}
