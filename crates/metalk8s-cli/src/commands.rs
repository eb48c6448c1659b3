//! One file per command.

pub(crate) mod agent;
pub(crate) mod apiserver_proxy;
pub(crate) mod apply;
pub(crate) mod archive;
pub(crate) mod authority;
pub(crate) mod backup;
pub(crate) mod bootstrap;
pub(crate) mod certificates;
pub(crate) mod conductor;
mod confirm;
pub(crate) mod doctor;

pub(crate) mod drift;
pub(crate) mod explain;
pub(crate) mod job;
pub(crate) mod join;
pub(crate) mod look;
mod master;
pub(crate) mod node;
mod other_version;
pub(crate) mod plan;
mod procedure;
pub(crate) mod repositories;
pub(crate) mod reset;
pub(crate) mod run;
pub(crate) mod salt;
pub(crate) mod salt_api;
pub(crate) mod salt_call;
pub(crate) mod salt_key;
pub(crate) mod salt_run;
pub(crate) mod salt_ssh;

use tokio::signal::unix::{SignalKind, signal};

/// Ends when somebody wants this program to end: SIGTERM, or SIGINT.
async fn told_to_stop() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// The same, for servers that cannot do anything about a failure to listen for signals.
async fn shutdown() {
    if let Err(err) = told_to_stop().await {
        tracing::warn!(error = %err, "cannot listen for signals; only SIGKILL ends this program");
        std::future::pending::<()>().await;
    }
}
