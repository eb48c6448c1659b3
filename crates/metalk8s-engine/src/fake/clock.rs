//! A clock that goes only when somebody sleeps.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::Clock;

/// Starts at 2026-01-01T00:00:00Z; sleeping returns at once and moves it on.
#[derive(Debug, Default)]
pub struct FakeClock {
    micros: AtomicU64,
}

#[async_trait]
impl Clock for FakeClock {
    fn elapsed(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }

    fn now(&self) -> Timestamp {
        let start = Timestamp::from_second(1_767_225_600).expect("the second is in range");
        start.saturating_add(self.elapsed()).unwrap_or(start)
    }

    async fn sleep(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        tokio::task::yield_now().await;
    }
}
