//! How often is too often.

use std::time::{Duration, Instant};

/// So many each second in the long run, and so many at once.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// In the long run.
    pub each_second: f64,
    /// After a rest.
    pub at_once: f64,
}

/// What is left of a [`Rate`].
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: Rate,
    left: f64,
    filled: Instant,
}

impl Bucket {
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, left: rate.at_once, filled: now }
    }

    /// Takes one; where there is none, how long it takes until there is.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let since = now.saturating_duration_since(self.filled).as_secs_f64();
        self.left = (self.left + since * self.rate.each_second).min(self.rate.at_once);
        self.filled = now;
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        let wait = (1.0 - self.left) / self.rate.each_second.max(0.001);
        Err(Duration::from_secs_f64(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_spent_at_once_and_comes_back_with_time() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Rate { each_second: 2.0, at_once: 3.0 }, start);
        for _ in 0..3 {
            assert!(bucket.take(start).is_ok());
        }
        assert_eq!(bucket.take(start).unwrap_err(), Duration::from_millis(500));
        assert!(bucket.take(start + Duration::from_millis(500)).is_ok());
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..9).filter(|_| bucket.take(later).is_ok()).count(), 3);
    }
}
