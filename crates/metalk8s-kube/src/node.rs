//! Labels, annotations and taints of a Node.

mod plan;

use k8s_openapi::api::core::v1::Node;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use metalk8s_engine::{Change, state::NodeMetadata};

use crate::{
    call::{CallError, Refusal, call, if_found},
    connection::Connection,
};

/// The name under which the server records who wrote the fields.
const MANAGER: &str = "metalk8s-node";

/// How often a Node that somebody else changes at the same time is read again.
const ATTEMPTS: usize = 5;

/// What is missing at the Node.
pub(crate) async fn check(connection: &Connection, wish: &NodeMetadata) -> Result<Option<Change>, CallError> {
    let node = if_found(call(&connection.server, api(connection).get(&wish.node)).await)?;
    // A Node that does not exist yet has nothing; it appears when its kubelet registers.
    let node = node.unwrap_or_default();
    Ok(plan::missing(&node, wish).map(|missing| missing.change))
}

/// Adds what is missing at the Node; `None` where nothing is.
///
/// Taints are one list that is always written whole, so it is written only over the list that was read.
pub(crate) async fn apply(connection: &Connection, wish: &NodeMetadata) -> Result<Option<Change>, CallError> {
    let api = api(connection);
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let mut attempt = 1;
    loop {
        let node = match call(&connection.server, api.get(&wish.node)).await {
            Err(CallError::Refused { message, refusal: Refusal::NotFound }) => {
                return Err(CallError::Refused { message, refusal: Refusal::NotNow });
            }
            answer => answer?,
        };
        let Some(missing) = plan::missing(&node, wish) else { return Ok(None) };
        let patch = Patch::Merge(&missing.patch);
        match call(&connection.server, api.patch(&wish.node, &params, &patch)).await {
            Ok(_) => return Ok(Some(missing.change)),
            Err(error) if error.is(Refusal::Conflict) && attempt < ATTEMPTS => attempt += 1,
            Err(CallError::Refused { message, refusal: Refusal::Conflict }) => {
                return Err(CallError::Refused { message, refusal: Refusal::NotNow });
            }
            Err(error) => return Err(error),
        }
    }
}

fn api(connection: &Connection) -> Api<Node> {
    Api::all(connection.client.clone())
}
