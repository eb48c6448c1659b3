//! The conductor: one of them, by a lease, hands out settings, signs certificates, carries out runs, takes old jobs away, and has VXLAN
//! encapsulate what the manual has IP-in-IP do.
//!
//! Begin with [`serve`].

mod departure;
mod deploy_node;
mod drain;
mod encapsulation;
pub(crate) mod etcd;
mod failure;
mod hands;
mod remove_node;
mod runs;
mod settings;
mod signer;

use std::{path::PathBuf, time::Duration};

use metalk8s_diagnostics::sentence;
use metalk8s_kube::{
    Fleet,
    fleet::{Lease, LeaseHeld},
};
use tokio::time::{Instant, interval, sleep};

use crate::dispatch::forget_old;

pub use settings::{SettingsError, cluster_pillar};

/// How long the lease is good for. A conductor that cannot renew it stops before that.
const LEASE: Duration = Duration::from_secs(15);
/// How often it is renewed, or asked for.
const RENEWAL: Duration = Duration::from_secs(4);
/// How often old jobs are looked for.
const TIDY: Duration = Duration::from_secs(3600);
/// The name of the lease.
const NAME: &str = "conductor";

/// What a conductor needs to know.
#[derive(Debug, Clone)]
pub struct ConductorConfig {
    /// How it reaches the API.
    pub kubeconfig: PathBuf,
    /// The BootstrapConfiguration.
    pub configuration: PathBuf,
    /// The folder in which archives are mounted.
    pub archives: PathBuf,
    /// Who it is, for other conductors.
    pub identity: String,
}

/// Conducts whenever it holds the lease, until `shutdown` ends.
pub async fn serve(config: ConductorConfig, shutdown: impl Future<Output = ()>) {
    let fleet = Fleet::lazy(&config.kubeconfig);
    let lease = Lease { name: NAME.to_owned(), holder: config.identity.clone(), duration: LEASE };
    let mut shutdown = std::pin::pin!(shutdown);
    tracing::info!(identity = config.identity, "the conductor begins");
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            () = until_ours(&fleet, &lease) => {}
        }
        tracing::info!("this conductor has the lease");
        tokio::select! {
            () = &mut shutdown => break,
            why = while_ours(&fleet, &lease) => tracing::warn!(why, "this conductor has lost the lease"),
            () = conduct(&fleet, &config) => {}
        }
    }
    if let Err(error) = fleet.release(&lease).await {
        tracing::warn!(error = sentence(&error), "the lease could not be let go; it ends by itself");
    }
    tracing::info!("the conductor ends");
}

/// All that the one conductor does, side by side. None of it ends by itself.
async fn conduct(fleet: &Fleet, config: &ConductorConfig) {
    tokio::join!(
        settings::keep(fleet, config),
        signer::sign(fleet, config),
        runs::carry_out(fleet, config),
        encapsulation::keep(fleet),
        tidy(fleet),
    );
}

/// Takes old jobs from agents that are given no others.
async fn tidy(fleet: &Fleet) {
    let mut look = interval(TIDY);
    loop {
        look.tick().await;
        if let Err(error) = forget_old(fleet).await {
            tracing::warn!(error = sentence(&error), "old jobs stay for now");
        }
    }
}

async fn until_ours(fleet: &Fleet, lease: &Lease) {
    let mut told = String::new();
    loop {
        let why = match fleet.hold(lease).await {
            Ok(LeaseHeld::Ours) => return,
            Ok(LeaseHeld::Theirs(holder)) => format!("{holder} has the lease"),
            Err(error) => sentence(&error),
        };
        if why != told {
            tracing::info!(why, "this conductor waits");
            told = why;
        }
        sleep(RENEWAL).await;
    }
}

/// Ends, with the reason, when the lease is not renewed in time.
async fn while_ours(fleet: &Fleet, lease: &Lease) -> String {
    let mut renewed = Instant::now();
    loop {
        sleep(RENEWAL).await;
        let began = Instant::now();
        match fleet.hold(lease).await {
            Ok(LeaseHeld::Ours) => renewed = began,
            Ok(LeaseHeld::Theirs(holder)) => return format!("{holder} has it"),
            // Others may take it when it is over; whoever has it must have stopped before.
            Err(error) if renewed.elapsed() + 2 * RENEWAL > LEASE => return sentence(&error),
            Err(error) => {
                tracing::warn!(error = sentence(&error), "the lease could not be renewed, trying again")
            }
        }
    }
}
