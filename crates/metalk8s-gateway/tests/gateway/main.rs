//! The gateway's public face over real sockets, with archives that the tests write themselves.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod archive;
mod balancer;
mod client;
mod connections;
mod hostile;
mod packages;
mod readiness;
mod registry;
mod server;
mod tls;

/// Waits until `is_so`, or fails naming what was waited for.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(10));
    let waiting = async {
        while !is_so().await {
            tick.tick().await;
        }
    };
    let deadline = std::time::Duration::from_secs(60);
    assert!(tokio::time::timeout(deadline, waiting).await.is_ok(), "waited in vain: {what}");
}
