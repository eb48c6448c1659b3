//! Agents and their jobs.

use std::collections::BTreeMap;

use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use metalk8s_types::fleet::{Agent, Job};
use serde_json::{Value, json};

use super::{Fleet, FleetError, api, ask};
use crate::call::if_found;

impl Fleet {
    /// The agent of a node, where there is one.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn agent(&self, node: &str) -> Result<Option<Agent>, FleetError> {
        let doing = || format!("read the agent of `{node}`");
        self.with(doing, async |connection| if_found(ask(connection, api(connection).get(node)).await)).await
    }

    /// All agents, by name.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn agents(&self) -> Result<Vec<Agent>, FleetError> {
        let doing = || "list the agents".to_owned();
        self.with(doing, async |connection| {
            let list = ask(connection, api::<Agent>(connection).list(&ListParams::default())).await?;
            Ok(list.items)
        })
        .await
    }

    /// Gives jobs to a node and takes others (`None`) away from it.
    ///
    /// # Errors
    /// When it has no agent, or the API cannot be asked.
    pub async fn give_jobs(
        &self,
        node: &str,
        jobs: &BTreeMap<String, Option<Job>>,
    ) -> Result<Agent, FleetError> {
        let doing = || format!("give a job to `{node}`");
        self.with(doing, async |connection| patch_spec(connection, node, json!({"jobs": jobs})).await).await
    }

    /// Hands signed certificates to a node and takes others (`None`) away.
    ///
    /// # Errors
    /// When it has no agent, or the API cannot be asked.
    pub async fn give_certificates(
        &self,
        node: &str,
        certificates: &BTreeMap<String, Option<String>>,
    ) -> Result<Agent, FleetError> {
        let doing = || format!("hand a certificate to `{node}`");
        self.with(doing, async |connection| {
            patch_spec(connection, node, json!({"certificates": certificates})).await
        })
        .await
    }

    /// Changes what an agent tells of itself; `status` is a JSON merge patch (RFC 7386).
    ///
    /// # Errors
    /// When there is no such agent, it is not this user's, or the API cannot be asked.
    pub async fn tell_status(&self, node: &str, status: &Value) -> Result<Agent, FleetError> {
        let doing = || format!("tell the state of the agent of `{node}`");
        self.with(doing, async |connection| {
            let patch = Patch::Merge(json!({"status": status}));
            let agents = api::<Agent>(connection);
            ask(connection, agents.patch_status(node, &PatchParams::default(), &patch)).await
        })
        .await
    }

    /// Lets a node leave the fleet: its agent may do nothing any more.
    ///
    /// # Errors
    /// When the API cannot be asked. That it had no agent is none.
    pub async fn remove_agent(&self, node: &str) -> Result<bool, FleetError> {
        use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
        let doing = || format!("remove the agent of `{node}`");
        self.with(doing, async |connection| {
            let (name, params) = (format!("agent-{node}"), DeleteParams::default());
            // Its rights go first, so that it has none on an agent of the same name that comes later.
            if_found(ask(connection, api::<RoleBinding>(connection).delete(&name, &params)).await)?;
            if_found(ask(connection, api::<Role>(connection).delete(&name, &params)).await)?;
            let gone = if_found(ask(connection, api::<Agent>(connection).delete(node, &params)).await)?;
            Ok(gone.is_some())
        })
        .await
    }
}

async fn patch_spec(
    connection: &crate::connection::Connection,
    node: &str,
    spec: Value,
) -> Result<Agent, crate::call::CallError> {
    let patch = Patch::Merge(json!({"spec": spec}));
    ask(connection, api::<Agent>(connection).patch(node, &PatchParams::default(), &patch)).await
}
