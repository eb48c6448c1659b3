//! The machine, looked at before anything is changed (areas PRE and NET).
//!
//! [`Observed::collect`] looks, [`precheck`] judges: a pure function, which tells everything at once.

mod accounts;
mod archives;
mod configuration;
mod finding;
mod machine;
mod network;
mod observed;
mod ports;
mod software;

use metalk8s_types::{BootstrapConfiguration, Grains};

pub use configuration::{configuration_problems, given_problems};
pub use finding::{Finding, Severity, refuse};
pub use observed::{ArchiveSeen, Listener, Observed, Route, Unit, UnseenArchive};

/// Everything that speaks against a bootstrap of this machine; empty where nothing does.
///
/// Findings come in the order in which a person would repair them. Errors must stop the bootstrap before it
/// changes anything ([`refuse`]); warnings are told and the bootstrap goes on.
pub fn precheck(
    grains: &Grains,
    configuration: &BootstrapConfiguration,
    observed: &Observed,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    machine::check(grains, configuration, observed, &mut findings);
    network::check(grains, configuration, observed, &mut findings);
    ports::check(grains, configuration, observed, &mut findings);
    software::check(observed, &mut findings);
    accounts::check(observed, &mut findings);
    archives::check(observed, &mut findings);
    findings
}

#[cfg(test)]
mod testing;
