//! Waiting for what the API can tell.

mod conditions;

use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment, StatefulSet},
        core::v1::{Node, Pod, Secret},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::Api;
use metalk8s_engine::{
    Change, ChangeKind, StateError,
    state::{Condition, Wait},
};

use crate::{
    Cluster,
    call::{CallError, call, if_found},
    connection::Connection,
};

/// What a look at the world has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The condition holds.
    Holds,
    /// It does not, and this is what there is.
    NotYet(String),
}

/// Whether the API can tell about this condition.
pub(crate) fn is_of_the_api(condition: &Condition) -> bool {
    match condition {
        Condition::Http { .. } | Condition::Socket(_) => false,
        Condition::NodeExists(_)
        | Condition::NodeReady(_)
        | Condition::RolledOut { .. }
        | Condition::PodReady { .. }
        | Condition::CrdEstablished(_)
        | Condition::SecretExists { .. } => true,
    }
}

/// One look; a server that is not there yet is a reason to wait, not an error. The engine looks again.
pub(crate) async fn check(cluster: &Cluster, wish: &Wait) -> Result<Option<Change>, StateError> {
    let now = match cluster.look(&wish.until).await {
        Ok(Seen::Holds) => return Ok(None),
        Ok(Seen::NotYet(now)) => now,
        Err(error) if error.is_retryable() => error.to_string(),
        Err(error) => return Err(error.while_doing(format!("could not see whether {}", wish.until))),
    };
    Ok(Some(Change::new(ChangeKind::Wait, format!("wait until {}; now: {now}", wish.until))))
}

/// One more look: waiting changes nothing, so all that can be done is to see that the wait is over.
pub(crate) async fn apply(cluster: &Cluster, wish: &Wait) -> Result<Change, StateError> {
    match check(cluster, wish).await? {
        None => Ok(Change::new(ChangeKind::Wait, format!("waited until {}", wish.until))),
        Some(change) => Err(StateError::new(change.summary).retryable()),
    }
}

/// Asks the API whether the condition holds now.
pub(crate) async fn look(connection: &Connection, condition: &Condition) -> Result<Seen, CallError> {
    let client = || connection.client.clone();
    match condition {
        Condition::Http { .. } | Condition::Socket(_) => {
            Err(CallError::Mistake("the API of a cluster cannot tell this".to_owned()))
        }
        Condition::NodeExists(name) => {
            let node = get::<Node>(connection, Api::all(client()), name).await?;
            Ok(node.map_or_else(absent, |_| Seen::Holds))
        }
        Condition::NodeReady(name) => {
            let node = get(connection, Api::all(client()), name).await?;
            Ok(node.map_or_else(absent, |node| conditions::node(&node)))
        }
        Condition::PodReady { namespace, name } => {
            let pod = get::<Pod>(connection, Api::namespaced(client(), namespace), name).await?;
            Ok(pod.map_or_else(absent, |pod| conditions::pod(&pod)))
        }
        Condition::CrdEstablished(name) => {
            let crd = get::<CustomResourceDefinition>(connection, Api::all(client()), name).await?;
            Ok(crd.map_or_else(absent, |crd| conditions::crd(&crd)))
        }
        Condition::SecretExists { namespace, name } => {
            let secrets = Api::<Secret>::namespaced(client(), namespace);
            let found = if_found(call(&connection.server, secrets.get_metadata(name)).await)?;
            Ok(found.map_or_else(absent, |_| Seen::Holds))
        }
        Condition::RolledOut { kind, namespace, name } => match kind.as_str() {
            "Deployment" => {
                let found = get::<Deployment>(connection, Api::namespaced(client(), namespace), name).await?;
                Ok(found.map_or_else(absent, |found| conditions::deployment(&found)))
            }
            "DaemonSet" => {
                let found = get::<DaemonSet>(connection, Api::namespaced(client(), namespace), name).await?;
                Ok(found.map_or_else(absent, |found| conditions::daemon_set(&found)))
            }
            "StatefulSet" => {
                let found =
                    get::<StatefulSet>(connection, Api::namespaced(client(), namespace), name).await?;
                Ok(found.map_or_else(absent, |found| conditions::stateful_set(&found)))
            }
            other => Err(CallError::Mistake(format!("a {other} is never rolled out"))),
        },
    }
}

async fn get<K>(connection: &Connection, api: Api<K>, name: &str) -> Result<Option<K>, CallError>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    if_found(call(&connection.server, api.get(name)).await)
}

fn absent() -> Seen {
    Seen::NotYet("it does not exist".to_owned())
}
