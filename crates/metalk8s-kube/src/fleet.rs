//! The bus: the objects of `metalk8s_types::fleet`, and what belongs to them, through the Kubernetes API.
//!
//! Begin with [`Fleet`]. [`Follow`] tells what happens to objects as it happens.

mod agents;
mod follow;
mod lease;
mod nodes;
mod pods;
mod pools;
mod requests;
mod reviews;
mod runs;
mod settings;
mod survey;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use kube::Api;
use metalk8s_diagnostics::{Code, Diagnose, explain};
use metalk8s_types::fleet::NAMESPACE;

use crate::{
    call::{CallError, Refusal, call},
    connection::{Connection, Connector, urls},
};

pub use follow::{Follow, Seen};
pub use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
pub use lease::{Lease, LeaseHeld};
pub use nodes::{NodeAnnotations, NodeFacts};
pub use pods::{Evicted, PodFacts};
pub use pools::Pool;
pub use requests::{PendingRequest, RequestOutcome};
pub use reviews::Identity;
pub use survey::{Condition, LeaseSurvey, NodeSurvey, PodSurvey};

/// A cluster's bus, reached with a kubeconfig.
#[derive(Clone)]
pub struct Fleet {
    connector: Arc<Connector>,
}

/// Why the bus did not do something.
#[derive(Debug, thiserror::Error)]
#[error("could not {doing}")]
pub struct FleetError {
    doing: String,
    #[source]
    source: CallError,
}

impl FleetError {
    /// Whether trying again can help.
    pub fn is_retryable(&self) -> bool {
        self.source.is_retryable()
    }

    /// Whether what it was about does not exist.
    pub fn is_not_found(&self) -> bool {
        self.source.is(Refusal::NotFound)
    }

    /// Whether this user may not do it, which of several API servers may say for a while after the right was given.
    pub fn is_forbidden(&self) -> bool {
        self.source.is(Refusal::Forbidden)
    }

    /// Whether somebody else changed it, or it exists already.
    pub fn is_conflict(&self) -> bool {
        self.source.is(Refusal::Conflict)
    }
}

impl Diagnose for FleetError {
    fn code(&self) -> Option<Code> {
        Some(match &self.source {
            CallError::NoKubeconfig(_) | CallError::BadKubeconfig(_) | CallError::Untrusted { .. } => {
                explain::KUBECONFIG_UNUSABLE
            }
            CallError::Unreachable { .. } | CallError::TimedOut { .. } => explain::API_UNREACHABLE,
            CallError::Refused { refusal: Refusal::Forbidden, .. } => explain::API_DENIED,
            CallError::Refused { refusal: Refusal::NotFound, .. } => explain::OBJECT_MISSING,
            CallError::Refused { .. }
            | CallError::UnknownKind { .. }
            | CallError::Answer(_)
            | CallError::Mistake(_) => explain::API_REFUSED,
        })
    }

    fn passes(&self) -> bool {
        self.is_retryable()
    }
}

impl Fleet {
    /// The bus of the cluster that this kubeconfig leads to; nothing is read before the first call.
    pub fn lazy(kubeconfig: impl Into<PathBuf>) -> Self {
        Self { connector: Arc::new(Connector::new(kubeconfig.into())) }
    }

    /// The bus of the cluster that this kubeconfig leads to, or one of these API servers when that one does not answer.
    pub fn lazy_or_at(kubeconfig: impl Into<PathBuf>, servers: &[SocketAddr]) -> Self {
        Self { connector: Arc::new(Connector::new(kubeconfig.into()).or_at(urls(servers))) }
    }

    /// Does one thing over the connection. A connection that was found broken is made anew by the next.
    async fn with<T>(
        &self,
        doing: impl FnOnce() -> String,
        act: impl AsyncFnOnce(&Connection) -> Result<T, CallError>,
    ) -> Result<T, FleetError> {
        let answer = match self.connector.connection().await {
            Ok(connection) => act(&connection).await,
            Err(error) => Err(error),
        };
        if answer.as_ref().is_err_and(CallError::is_broken_connection) {
            self.connector.forget().await;
        }
        answer.map_err(|source| FleetError { doing: doing(), source })
    }
}

/// The objects of the fleet of one kind.
fn api<K>(connection: &Connection) -> Api<K>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    Api::namespaced(connection.client.clone(), NAMESPACE)
}

/// One call over a connection.
async fn ask<T>(
    connection: &Connection,
    answer: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CallError> {
    call(&connection.server, answer).await
}
