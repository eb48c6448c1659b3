//! A machine that has other addresses than its node had, and the same name (NET-19).

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use metalk8s_diagnostics::explain;
use metalk8s_kube::fleet::Evicted;
use metalk8s_types::{Role, VERSION, environment, fleet::Agent, paths, pillar::NodeAddresses};
use serde_json::Value;
use tokio::time::sleep;

use super::{
    super::{
        failure::{Failure, told},
        hands::PING,
    },
    DeployNode,
};
use crate::dispatch::{Call, job};

/// The pods that make the overlay, by the beginning of their names.
const OVERLAY: &str = "calico-node-";
/// How long a new one may take.
const PATIENCE: Duration = Duration::from_secs(180);

impl DeployNode {
    /// Where the machine is now, as its agent sees it.
    pub(super) async fn addresses_now(&self, agent: &Agent) -> Result<NodeAddresses, Failure> {
        let call = Call::new("grains.get", ["metalk8s"], PING);
        let (_, seen) = job(&self.hands.fleet, &self.name, &call).await.map_err(|error| told(&error))?;
        decide(&self.name, agent, addresses(&seen))
    }

    /// The overlay reaches the node by its address of now. Returns what was done for that.
    pub(super) async fn overlay_follows(&self) -> Result<Option<String>, Failure> {
        let agent = self.hands.agent(&self.name).await?.ok_or_else(|| self.has_left())?;
        let wanted = agent.spec.addresses.workload_plane;
        let fleet = &self.hands.fleet;
        let known = async || -> Result<Option<IpAddr>, Failure> {
            let node = fleet.node(&self.name).await.map_err(|error| told(&error))?;
            Ok(node.and_then(|node| node.overlay_address))
        };
        // A node that has just joined has none yet.
        match known().await? {
            Some(found) if found != wanted => {}
            _ => return Ok(None),
        }
        // It looks for its address when it starts.
        for pod in fleet.pods_on(&self.name).await.map_err(|error| told(&error))? {
            if pod.name.starts_with(OVERLAY)
                && let Evicted::Blocked(why) = fleet.evict(&pod).await.map_err(|error| told(&error))?
            {
                return Err(Failure::new(explain::UNEXPECTED, why));
            }
        }
        let began = Instant::now();
        while known().await? != Some(wanted) {
            if began.elapsed() > PATIENCE {
                let line = format!(
                    "the overlay did not find the address {wanted} of `{}` within {} s; \
                     `kubectl --namespace kube-system get pods --output wide` shows its pods",
                    self.name,
                    PATIENCE.as_secs()
                );
                return Err(Failure::new(explain::WAIT_TIMED_OUT, line));
            }
            sleep(Duration::from_millis(500)).await;
        }
        Ok(Some(format!("overlay reaches it by {wanted}")))
    }
}

/// What the grain `metalk8s` of a machine tells; `None` where it has no single address in each plane.
fn addresses(grain: &Value) -> Option<NodeAddresses> {
    let address = |key: &str| grain[key].as_str()?.parse().ok();
    Some(NodeAddresses {
        control_plane: address("control_plane_ip")?,
        workload_plane: address("workload_plane_ip")?,
    })
}

/// The addresses that the node shall have. Pure.
///
/// That of the Bootstrap node in the control plane is where all nodes find the repositories: its own bootstrap
/// serves them there, and has the others follow.
fn decide(name: &str, agent: &Agent, seen: Option<NodeAddresses>) -> Result<NodeAddresses, Failure> {
    let known = agent.spec.addresses;
    let Some(seen) = seen.filter(|seen| *seen != known) else { return Ok(known) };
    if seen.control_plane == known.control_plane || !agent.spec.roles.contains(&Role::Bootstrap) {
        return Ok(seen);
    }
    let line = format!(
        "`{name}` had the address {} and has {}, and all nodes look for the repositories at the former one: run \
         `{}/{}/bootstrap.sh` on it",
        known.control_plane,
        seen.control_plane,
        paths::ARCHIVES,
        environment(VERSION)
    );
    Err(Failure::new(explain::ADDRESS_DIFFERS, line))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use metalk8s_types::fleet::AgentSpec;
    use serde_json::json;

    use super::*;

    fn at(control_plane: &str, workload_plane: &str) -> NodeAddresses {
        NodeAddresses {
            control_plane: control_plane.parse().unwrap(),
            workload_plane: workload_plane.parse().unwrap(),
        }
    }

    fn decided(roles: &[Role], seen: Option<NodeAddresses>) -> Result<NodeAddresses, Failure> {
        let spec = AgentSpec {
            version: "1.0.0".into(),
            roles: roles.iter().copied().collect(),
            addresses: at("10.0.0.2", "10.0.1.2"),
            initial_cluster: None,
            jobs: BTreeMap::new(),
            certificates: BTreeMap::new(),
        };
        decide("node-1", &Agent::new("node-1", spec), seen)
    }

    #[test]
    fn a_node_has_the_addresses_of_its_machine_and_the_bootstrap_node_is_refused_another_one() {
        let known = at("10.0.0.2", "10.0.1.2");
        let moved = at("10.0.0.9", "10.0.1.9");
        for role in [Role::Node, Role::Master, Role::Etcd] {
            assert_eq!(decided(&[role], Some(moved)).unwrap(), moved);
        }
        assert_eq!(
            decided(&[Role::Node], None).unwrap(),
            known,
            "a machine without an address keeps its own"
        );
        let workload = at("10.0.0.2", "10.0.1.9");
        for seen in [known, workload] {
            assert_eq!(decided(&[Role::Bootstrap], Some(seen)).unwrap(), seen);
        }
        decided(&[Role::Bootstrap], Some(moved)).unwrap_err();
    }

    #[test]
    fn addresses_are_read_from_the_grain_or_not_at_all() {
        let grain = json!({"control_plane_ip": "10.0.0.2", "workload_plane_ip": "10.0.1.2", "roles": []});
        assert_eq!(addresses(&grain), Some(at("10.0.0.2", "10.0.1.2")));
        assert_eq!(addresses(&json!({"control_plane_ip": "10.0.0.2"})), None);
        assert_eq!(addresses(&json!("nonsense")), None);
    }
}
