//! IP-in-IP as the manual switches it on (NET-07, P059). Our Calico brings no BGP, which its IP-in-IP needs, and not
//! every kernel has it: VXLAN does what was asked for.

use std::time::Duration;

use metalk8s_diagnostics::sentence;
use metalk8s_kube::{
    Fleet,
    fleet::{Pool, Seen},
};
use tokio::time::sleep;

/// The time until it is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Has VXLAN do what pools want of IP-in-IP.
pub(super) async fn keep(fleet: &Fleet) {
    let mut pools = fleet.follow_pools();
    let mut told = None;
    while let Some(seen) = pools.recv().await {
        match seen {
            Seen::There(object) => {
                told = None;
                let pool = Pool::of(&object);
                if let Some(mode) = by_vxlan(&pool) {
                    change(fleet, &pool, mode).await;
                }
            }
            Seen::Gone(_) | Seen::Complete => told = None,
            // Before Calico is there, too.
            Seen::Blind(why) => {
                if told.as_ref() != Some(&why) {
                    tracing::info!(error = why, "pools of addresses cannot be seen, trying again");
                }
                told = Some(why);
            }
        }
    }
}

/// The mode of VXLAN that does the same; `None` where nobody asks for IP-in-IP. Pure.
fn by_vxlan(pool: &Pool) -> Option<&str> {
    (pool.ipip_mode != "Never").then_some(&*pool.ipip_mode)
}

async fn change(fleet: &Fleet, pool: &Pool, mode: &str) {
    loop {
        match fleet.encapsulate_by_vxlan(pool, mode).await {
            Ok(()) => {
                tracing::info!(pool = pool.name, mode, "VXLAN does what was asked of IP-in-IP");
                return;
            }
            // What it is now is seen next.
            Err(error) if error.is_conflict() || error.is_not_found() => return,
            Err(error) => {
                let error = sentence(&error);
                tracing::warn!(
                    pool = pool.name,
                    error,
                    "a pool of addresses cannot be changed, trying again"
                );
                sleep(AGAIN).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_that_was_asked_for_stays() {
        let pool = |spec: serde_json::Value| {
            let object = serde_json::json!({
                "apiVersion": "crd.projectcalico.org/v1", "kind": "IPPool",
                "metadata": {"name": "p", "resourceVersion": "7"}, "spec": spec,
            });
            Pool::of(&serde_json::from_value(object).unwrap())
        };
        let asked = |ipip: &str, vxlan: &str| {
            by_vxlan(&pool(serde_json::json!({"ipipMode": ipip, "vxlanMode": vxlan}))).map(str::to_owned)
        };
        assert_eq!(asked("Always", "CrossSubnet").as_deref(), Some("Always"));
        assert_eq!(asked("CrossSubnet", "Always").as_deref(), Some("CrossSubnet"));
        assert_eq!(asked("Never", "Always"), None);
        assert_eq!(by_vxlan(&pool(serde_json::json!({"cidr": "10.233.0.0/16"}))), None);
    }
}
