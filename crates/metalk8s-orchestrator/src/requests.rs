//! Certificates that a node asks for through the API.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use metalk8s_engine::{StateError, journal::RunId};
use metalk8s_host::Signatures;
use metalk8s_kube::{Fleet, fleet::Seen};
use metalk8s_pki::Usage;
use tokio::time::{Instant, timeout_at};

/// How long the conductor has for an answer: it may be starting on another master.
const PATIENCE: Duration = Duration::from_secs(90);

/// Asks for certificates as the agent of a node, and finds them in the agent's own object.
pub struct Requests {
    fleet: Fleet,
    node: String,
}

impl Requests {
    /// Requests of this node.
    pub fn new(fleet: Fleet, node: impl Into<String>) -> Self {
        Self { fleet, node: node.into() }
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").field("node", &self.node).finish_non_exhaustive()
    }
}

#[async_trait]
impl Signatures for Requests {
    async fn sign(&self, signer: &str, request_pem: &str, usages: &[Usage]) -> Result<String, StateError> {
        let name = format!("metalk8s-{}-{}", self.node, RunId::at(Timestamp::now()));
        let mut words = vec!["digital signature"];
        words.extend(usages.iter().map(|usage| match usage {
            Usage::Server => "server auth",
            Usage::Client => "client auth",
        }));
        let doing = || format!("could not get a certificate from `{signer}`");
        let mut events = self.fleet.follow_agents(Some(&self.node));
        let asked = self.fleet.request_certificate(&name, signer, request_pem, &words).await;
        asked.map_err(|error| {
            let retryable = error.is_retryable();
            let failed = StateError::new(doing()).because(error);
            if retryable { failed.retryable() } else { failed }
        })?;
        let end = Instant::now() + PATIENCE;
        while let Ok(Some(seen)) = timeout_at(end, events.recv()).await {
            if let Seen::There(mut agent) = seen
                && let Some(certificate) = agent.spec.certificates.remove(&name)
            {
                return Ok(certificate);
            }
        }
        let why = format!(
            "the conductor has not signed the request `{name}` within {} s; `kubectl get csr {name}` and the \
             log of the pod salt-master tell why",
            PATIENCE.as_secs()
        );
        Err(StateError::new(doing()).because(why))
    }
}
