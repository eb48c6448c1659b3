//! One of several is the conductor: a lease (coordination.k8s.io/v1), held as client-go's leader election does.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease as Object, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::api::{ObjectMeta, PostParams};
use metalk8s_types::fleet::NAMESPACE;

use super::{Fleet, FleetError, api, ask};
use crate::call::{CallError, Refusal, if_found};

/// A lease that somebody wants to hold.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Its name.
    pub name: String,
    /// Who wants it: different for every process.
    pub holder: String,
    /// How long it is good for after its last renewal.
    pub duration: Duration,
}

/// What became of the wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseHeld {
    /// It is ours.
    Ours,
    /// Somebody else has it.
    Theirs(String),
}

impl Fleet {
    /// Takes the lease or renews it. Whether another's is over is judged by our clock, which the pre-checks of a
    /// node have compared with the others'.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn hold(&self, lease: &Lease) -> Result<LeaseHeld, FleetError> {
        let doing = || format!("hold the lease `{}`", lease.name);
        self.with(doing, async |connection| {
            let leases = api::<Object>(connection);
            let found = if_found(ask(connection, leases.get(&lease.name)).await)?;
            let now = Timestamp::now();
            let written = match decide(lease, found, now) {
                Decision::Theirs(holder) => return Ok(LeaseHeld::Theirs(holder)),
                Decision::Create(object) => {
                    ask(connection, leases.create(&PostParams::default(), &object)).await
                }
                Decision::Replace(object) => {
                    ask(connection, leases.replace(&lease.name, &PostParams::default(), &object)).await
                }
            };
            match written {
                Ok(_) => Ok(LeaseHeld::Ours),
                // Somebody was faster.
                Err(CallError::Refused { refusal: Refusal::Conflict, .. }) => {
                    Ok(LeaseHeld::Theirs("somebody who was faster".to_owned()))
                }
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Lets the lease go, so that the next one needs not wait for its end.
    ///
    /// # Errors
    /// When the API cannot be asked. That it was not ours is none.
    pub async fn release(&self, lease: &Lease) -> Result<(), FleetError> {
        let doing = || format!("release the lease `{}`", lease.name);
        self.with(doing, async |connection| {
            let leases = api::<Object>(connection);
            let Some(mut found) = if_found(ask(connection, leases.get(&lease.name)).await)? else {
                return Ok(());
            };
            let spec = found.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() != Some(lease.holder.as_str()) {
                return Ok(());
            }
            spec.holder_identity = None;
            match ask(connection, leases.replace(&lease.name, &PostParams::default(), &found)).await {
                Ok(_) | Err(CallError::Refused { refusal: Refusal::Conflict, .. }) => Ok(()),
                Err(error) => Err(error),
            }
        })
        .await
    }
}

enum Decision {
    Theirs(String),
    Create(Object),
    Replace(Object),
}

fn decide(lease: &Lease, found: Option<Object>, now: Timestamp) -> Decision {
    let Lease { name, holder, duration } = lease;
    let seconds = i32::try_from(duration.as_secs()).unwrap_or(i32::MAX);
    let mut spec = LeaseSpec {
        holder_identity: Some(holder.clone()),
        lease_duration_seconds: Some(seconds),
        acquire_time: Some(MicroTime(now)),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(0),
        ..LeaseSpec::default()
    };
    let Some(mut object) = found else {
        return Decision::Create(Object {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(NAMESPACE.to_owned()),
                ..ObjectMeta::default()
            },
            spec: Some(spec),
        });
    };
    let before = object.spec.take().unwrap_or_default();
    let other = before.holder_identity.clone().filter(|other| !other.is_empty() && other != holder);
    if let Some(other) = other {
        let good_for = i64::from(before.lease_duration_seconds.unwrap_or(seconds));
        let renewed = before.renew_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        if now.duration_since(renewed).as_secs() < good_for {
            return Decision::Theirs(other);
        }
    }
    let is_ours = before.holder_identity.as_deref() == Some(holder.as_str());
    let transitions = before.lease_transitions.unwrap_or(0);
    if is_ours {
        spec.acquire_time = before.acquire_time.or(spec.acquire_time);
        spec.lease_transitions = Some(transitions);
    } else {
        spec.lease_transitions = Some(transitions.saturating_add(1));
    }
    object.spec = Some(spec);
    Decision::Replace(object)
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    fn lease(holder: &str) -> Lease {
        Lease { name: "conductor".into(), holder: holder.into(), duration: Duration::from_secs(15) }
    }

    fn held(decision: Decision) -> Object {
        match decision {
            Decision::Create(object) | Decision::Replace(object) => object,
            Decision::Theirs(holder) => panic!("{holder} has it"),
        }
    }

    #[test]
    fn a_lease_is_taken_from_nobody_who_renews_it() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let first = held(decide(&lease("a"), None, now));
        assert!(matches!(
            decide(&lease("b"), Some(first.clone()), now + 14.seconds()),
            Decision::Theirs(holder) if holder == "a"
        ));
        let renewed = held(decide(&lease("a"), Some(first.clone()), now + 14.seconds()));
        assert!(matches!(decide(&lease("b"), Some(renewed), now + 28.seconds()), Decision::Theirs(_)));
        let taken = held(decide(&lease("b"), Some(first), now + 15.seconds()));
        let spec = taken.spec.unwrap();
        assert_eq!(spec.holder_identity.as_deref(), Some("b"));
        assert_eq!(spec.lease_transitions, Some(1));
    }

    #[test]
    fn a_lease_that_was_let_go_is_free_at_once() {
        let now = Timestamp::now();
        let mut first = held(decide(&lease("a"), None, now));
        first.spec.as_mut().unwrap().holder_identity = None;
        held(decide(&lease("b"), Some(first), now));
    }
}
