//! Calico's pools of addresses: `IPPool` of `crd.projectcalico.org/v1`.

use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::json;

use super::{Fleet, FleetError, ask};

/// Tells whoever looks at a pool why it is not as they wrote it.
const NOTE: &str = "metalk8s.scality.com/encapsulation";

/// How a pool has traffic between nodes encapsulated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Such as `default-ipv4-ippool`.
    pub name: String,
    /// By IP-in-IP: `Always`, `CrossSubnet` or `Never`.
    pub ipip_mode: String,
    /// By VXLAN: likewise.
    pub vxlan_mode: String,
    version: Option<String>,
}

impl Pool {
    /// What an object that was followed says.
    pub fn of(object: &DynamicObject) -> Self {
        let mode = |key: &str| object.data["spec"][key].as_str().unwrap_or("Never").to_owned();
        Self {
            name: object.name_any(),
            ipip_mode: mode("ipipMode"),
            vxlan_mode: mode("vxlanMode"),
            version: object.resource_version(),
        }
    }
}

impl Fleet {
    /// Has VXLAN encapsulate the traffic of this pool, in this mode, and nothing else.
    ///
    /// # Errors
    /// When the pool has changed since it was seen ([`FleetError::is_conflict`]), or the API cannot be asked.
    pub async fn encapsulate_by_vxlan(&self, pool: &Pool, mode: &str) -> Result<(), FleetError> {
        let doing = || format!("change the pool of addresses `{}`", pool.name);
        self.with(doing, async |connection| {
            let note = format!("IP-in-IP was asked for; VXLAN does the same in mode {mode}");
            let patch = Patch::Merge(json!({
                "metadata": {"resourceVersion": pool.version, "annotations": {NOTE: note}},
                "spec": {"ipipMode": "Never", "vxlanMode": mode},
            }));
            let params =
                PatchParams { field_manager: Some("metalk8s-conductor".into()), ..PatchParams::default() };
            let pools = Api::<DynamicObject>::all_with(connection.client.clone(), &resource());
            ask(connection, pools.patch(&pool.name, &params, &patch)).await.map(drop)
        })
        .await
    }
}

pub(super) fn resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("crd.projectcalico.org", "v1", "IPPool");
    ApiResource::from_gvk_with_plural(&kind, "ippools")
}
