//! The hands of the engine in a cluster.

use std::{net::SocketAddr, path::PathBuf};

use async_trait::async_trait;
use metalk8s_engine::{
    Change, Hands, State, StateError,
    state::{Condition, NodeMetadata, Object},
};

use crate::{
    call::CallError,
    connection::{Connector, urls},
    node,
    object::{self, Identity},
    wait,
};

/// A cluster, reached with a kubeconfig.
///
/// It takes the states `Object`, `NodeMetadata`, and `Wait` for everything that the API can tell.
///
/// # Guarantees
/// Nothing is read before the first call, so the kubeconfig may be made later, or anew at any time. After a
/// call that found no server the connection is made anew.
pub struct Cluster {
    connector: Connector,
}

impl Cluster {
    /// A cluster that will be reached with the kubeconfig at this path.
    pub fn lazy(kubeconfig: impl Into<PathBuf>) -> Self {
        Self { connector: Connector::new(kubeconfig.into()) }
    }

    /// A cluster that will be reached with this kubeconfig, or at one of these API servers when that one does not
    /// answer.
    pub fn lazy_or_at(kubeconfig: impl Into<PathBuf>, servers: &[SocketAddr]) -> Self {
        Self { connector: Connector::new(kubeconfig.into()).or_at(urls(servers)) }
    }

    async fn check_object(&self, wish: &Object) -> Result<Option<Change>, CallError> {
        object::check(&*self.connector.connection().await?, wish).await
    }

    async fn apply_object(&self, wish: &Object) -> Result<Option<Change>, CallError> {
        object::apply(&*self.connector.connection().await?, wish).await
    }

    async fn check_node(&self, wish: &NodeMetadata) -> Result<Option<Change>, CallError> {
        node::check(&*self.connector.connection().await?, wish).await
    }

    async fn apply_node(&self, wish: &NodeMetadata) -> Result<Option<Change>, CallError> {
        node::apply(&*self.connector.connection().await?, wish).await
    }

    pub(crate) async fn look(&self, condition: &Condition) -> Result<wait::Seen, CallError> {
        let answer = match self.connector.connection().await {
            Ok(connection) => wait::look(&connection, condition).await,
            Err(error) => Err(error),
        };
        self.note(answer).await
    }

    /// Drops a connection that a call has found broken.
    async fn note<T>(&self, answer: Result<T, CallError>) -> Result<T, CallError> {
        if answer.as_ref().is_err_and(CallError::is_broken_connection) {
            self.connector.forget().await;
        }
        answer
    }
}

#[async_trait]
impl Hands for Cluster {
    fn takes(&self, state: &State) -> bool {
        match state {
            State::Object(_) | State::NodeMetadata(_) => true,
            State::Wait(wish) => wait::is_of_the_api(&wish.until),
            _ => false,
        }
    }

    async fn check(&self, state: &State) -> Result<Option<Change>, StateError> {
        match state {
            State::Object(wish) => {
                let answer = self.note(self.check_object(wish).await).await;
                answer.map_err(|err| err.while_doing(format!("could not check {}", Identity::name(wish))))
            }
            State::NodeMetadata(wish) => {
                let answer = self.note(self.check_node(wish).await).await;
                answer.map_err(|err| err.while_doing(format!("could not check Node `{}`", wish.node)))
            }
            State::Wait(wish) => wait::check(self, wish).await,
            _ => Err(foreign()),
        }
    }

    async fn apply(&self, state: &State, change: &Change) -> Result<Change, StateError> {
        let done = match state {
            State::Object(wish) => {
                let answer = self.note(self.apply_object(wish).await).await;
                answer.map_err(|err| err.while_doing(format!("could not apply {}", Identity::name(wish))))?
            }
            State::NodeMetadata(wish) => {
                let answer = self.note(self.apply_node(wish).await).await;
                answer.map_err(|err| err.while_doing(format!("could not change Node `{}`", wish.node)))?
            }
            State::Wait(wish) => Some(wait::apply(self, wish).await?),
            _ => return Err(foreign()),
        };
        Ok(done.unwrap_or_else(|| change.clone()))
    }

    async fn react(&self, state: &State) -> Result<Option<Change>, StateError> {
        // Objects, metadata and waits have nothing to restart: the cluster's own controllers react.
        if self.takes(state) { Ok(None) } else { Err(foreign()) }
    }
}

fn foreign() -> StateError {
    StateError::new("this state is not about a cluster")
}
