//! What was seen, before anybody says what it means. What could not be seen has the reason in its place.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use jiff::Timestamp;
use metalk8s_kube::fleet::LeaseSurvey;

use super::machine::MachineHealth;
use crate::certificates::CertificateSeen;

/// What was seen, or why not.
pub(super) type Seen<T> = Result<T, String>;

/// An API server, asked at its own address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiServer {
    pub(super) address: IpAddr,
    /// What it answers to `/readyz`.
    pub(super) ready: Seen<()>,
}

/// What an agent told, with the moments of question and answer on the clock of whoever asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told<T> {
    pub(super) value: T,
    pub(super) asked: Timestamp,
    pub(super) heard: Timestamp,
}

/// What agents tell of their machines.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Machines {
    pub(super) health: BTreeMap<String, Seen<Told<MachineHealth>>>,
    pub(super) certificates: BTreeMap<String, Seen<Vec<CertificateSeen>>>,
}

/// Addresses by which a node is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Those of its agent's object, in both planes.
    pub(super) agent: BTreeMap<String, BTreeSet<IpAddr>>,
    /// Those of its Node object.
    pub(super) node: BTreeMap<String, BTreeSet<IpAddr>>,
}

/// The members of etcd.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Etcd {
    /// Alarms, each with the id of its member.
    pub(super) alarms: Vec<(String, String)>,
    pub(super) members: Vec<Member>,
}

/// A member of etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Its name, or its id as long as it has none.
    pub(super) name: String,
    pub(super) id: String,
    pub(super) is_learner: bool,
    pub(super) status: Seen<MemberStatus>,
}

/// What a member says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MemberStatus {
    /// The id of whom it takes for the leader; `0` for nobody.
    pub(super) leader: String,
    /// The size of its database and the most that it may have, in bytes.
    pub(super) size: u64,
    pub(super) quota: u64,
}

/// An image of an archive, asked for at the repositories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImageSeen {
    /// Such as `metalk8s-0.1.0/etcd:3.6.16`.
    pub(super) name: String,
    pub(super) pull: Seen<()>,
}

/// A lease that somebody must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeaseSeen {
    pub(super) name: &'static str,
    pub(super) lease: Seen<Option<LeaseSurvey>>,
}

/// The last run for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunSeen {
    pub(super) run: String,
    pub(super) node: String,
    pub(super) failed: bool,
    pub(super) message: String,
}
