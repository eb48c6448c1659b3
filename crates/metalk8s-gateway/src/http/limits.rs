use std::time::Duration;

/// What one client, and all clients together, may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections open at once. Further clients wait in the kernel's queue.
    pub connections: usize,
    /// Bytes of a request's head: request line and headers.
    pub head_bytes: usize,
    /// Bytes of a request's target: path and query.
    pub target_bytes: usize,
    /// Time for the TLS handshake, and for a head to arrive once its first byte has.
    pub head_time: Duration,
    /// Time a connection may stay open without a request.
    pub idle_time: Duration,
    /// Time a client may take to accept the next bytes of an answer.
    pub stall_time: Duration,
    /// Time that running answers are given to end once the server is told to stop.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            head_bytes: 16 * 1024,
            target_bytes: 4 * 1024,
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(30),
            stall_time: Duration::from_secs(30),
            drain_time: Duration::from_secs(20),
        }
    }
}
