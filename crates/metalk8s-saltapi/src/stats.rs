//! Numbers of what was done.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use jiff::Timestamp;
use serde_json::{Value, json};

/// Counters since the start.
pub(crate) struct Stats {
    started: Timestamp,
    pub(crate) requests: AtomicU64,
    pub(crate) running: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) logins: AtomicU64,
    pub(crate) chunks: AtomicU64,
}

impl Default for Stats {
    fn default() -> Self {
        let none = AtomicU64::default;
        Self {
            started: Timestamp::now(),
            requests: none(),
            running: none(),
            refused: none(),
            failed: none(),
            logins: none(),
            chunks: none(),
        }
    }
}

/// A request that is being answered, also one whose client goes away.
pub(crate) struct Running<'a>(&'a Stats);

impl Stats {
    pub(crate) fn begin(&self) -> Running<'_> {
        self.requests.fetch_add(1, Relaxed);
        self.running.fetch_add(1, Relaxed);
        Running(self)
    }

    /// Under the names that monitoring knows, and ours.
    pub(crate) fn told(&self, sessions: usize, streams: usize) -> Value {
        let now = Timestamp::now();
        let seconds = |at: Timestamp| at.as_millisecond() / 1000;
        json!({
            "CherryPy Applications": {
                "Enabled": true,
                "Start Time": seconds(self.started),
                "Current Time": seconds(now),
                "Uptime": seconds(now) - seconds(self.started),
                "Total Requests": self.requests.load(Relaxed),
                "Current Requests": self.running.load(Relaxed),
            },
            "MetalK8s": {
                "Requests Refused": self.refused.load(Relaxed),
                "Requests Failed": self.failed.load(Relaxed),
                "Logins": self.logins.load(Relaxed),
                "Chunks": self.chunks.load(Relaxed),
                "Sessions": sessions,
                "Event Streams": streams,
            },
        })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Relaxed);
    }
}
