use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what a server does. Never reset.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    open: AtomicU64,
    accepted: AtomicU64,
    answers: [AtomicU64; 5],
    sent_bytes: AtomicU64,
    broken: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrafficFigures {
    pub(crate) open: u64,
    pub(crate) accepted: u64,
    /// Answers with a status 1xx, 2xx, ... 5xx.
    pub(crate) answers: [u64; 5],
    /// Bytes of bodies.
    pub(crate) sent_bytes: u64,
    /// Answers that did not reach their end.
    pub(crate) broken: u64,
}

impl Traffic {
    pub(crate) fn opened(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self, status: http::StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.answers[class].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn broke(&self) {
        self.broken.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn figures(&self) -> TrafficFigures {
        TrafficFigures {
            open: self.open.load(Ordering::Relaxed),
            accepted: self.accepted.load(Ordering::Relaxed),
            answers: std::array::from_fn(|class| self.answers[class].load(Ordering::Relaxed)),
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
            broken: self.broken.load(Ordering::Relaxed),
        }
    }
}
