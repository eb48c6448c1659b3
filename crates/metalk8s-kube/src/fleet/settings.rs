//! The settings that all nodes share.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::api::{ObjectMeta, Patch, PatchParams};
use metalk8s_types::{
    fleet::{NAMESPACE, SETTINGS, SETTINGS_KEY},
    pillar::ClusterPillar,
};

use super::{Fleet, FleetError, api, ask};
use crate::call::{CallError, if_found};

impl Fleet {
    /// The settings, where the conductor has written them.
    ///
    /// # Errors
    /// When they cannot be read, or a newer program wrote them.
    pub async fn settings(&self) -> Result<Option<ClusterPillar>, FleetError> {
        let doing = || "read the settings of the cluster".to_owned();
        self.with(doing, async |connection| {
            let Some(secret) = if_found(ask(connection, api::<Secret>(connection).get(SETTINGS)).await)?
            else {
                return Ok(None);
            };
            let bytes = secret.data.unwrap_or_default().remove(SETTINGS_KEY).unwrap_or_default();
            serde_json::from_slice(&bytes.0).map(Some).map_err(CallError::Answer)
        })
        .await
    }

    /// What tells this cluster from all others: the UID of the object with its settings, where the conductor has
    /// written them.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn cluster_uid(&self) -> Result<Option<String>, FleetError> {
        let doing = || "find out which cluster this is".to_owned();
        self.with(doing, async |connection| {
            let found = if_found(ask(connection, api::<Secret>(connection).get_metadata(SETTINGS)).await)?;
            Ok(found.and_then(|object| object.metadata.uid))
        })
        .await
    }

    /// Writes them.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn write_settings(&self, settings: &ClusterPillar) -> Result<(), FleetError> {
        let doing = || "write the settings of the cluster".to_owned();
        self.with(doing, async |connection| {
            let bytes = serde_json::to_vec(settings).map_err(CallError::Answer)?;
            let secret = Secret {
                metadata: ObjectMeta {
                    name: Some(SETTINGS.to_owned()),
                    namespace: Some(NAMESPACE.to_owned()),
                    ..ObjectMeta::default()
                },
                data: Some(BTreeMap::from([(SETTINGS_KEY.to_owned(), ByteString(bytes))])),
                ..Secret::default()
            };
            let params = PatchParams::apply("metalk8s-conductor").force();
            let secrets = api::<Secret>(connection);
            ask(connection, secrets.patch(SETTINGS, &params, &Patch::Apply(&secret))).await.map(drop)
        })
        .await
    }
}
