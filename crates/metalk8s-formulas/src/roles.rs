//! The states of one role, chosen from those that the highstate of a machine has (area ROLE).

use metalk8s_types::{Grains, Pillar, Role};

use crate::{
    FormulaError, Stage,
    bootstrap::{CONTAINERD, CONTROL_PLANE, DNS, NETWORK, PACKAGES, started},
    member::ETCD,
};

/// Stages that every role needs. On the Bootstrap node the one of the kubelet has the repositories, too.
const OF_ALL: [&str; 6] = ["archives", "system", PACKAGES, CONTAINERD, "pki", "kubelet"];
/// Stages that only the role of the Bootstrap node brings.
const OF_BOOTSTRAP: [&str; 5] = ["node", "fleet", NETWORK, DNS, "ready"];

/// Of the stages of a machine those of one of its roles: what all roles need, and what only this one brings.
///
/// Nothing that former roles have left is removed: that is of the whole machine.
pub fn of_role(
    role: Role,
    highstate: Vec<Stage>,
    grains: &Grains,
    pillar: &Pillar,
) -> Result<Vec<Stage>, FormulaError> {
    let is_bootstrap = pillar.roles.contains(&Role::Bootstrap);
    let brings = |stage: &Stage| match role {
        Role::Bootstrap => OF_BOOTSTRAP.contains(&stage.name),
        Role::Etcd => stage.name == ETCD || (is_bootstrap && stage.name == CONTROL_PLANE),
        Role::Master => stage.name == CONTROL_PLANE,
        Role::Infra | Role::Node => false,
    };
    let mut chosen: Vec<Stage> =
        highstate.into_iter().filter(|stage| OF_ALL.contains(&stage.name) || brings(stage)).collect();
    // The Bootstrap node starts the member of etcd and the control plane in one stage.
    for stage in chosen.iter_mut().filter(|stage| is_bootstrap && stage.name == CONTROL_PLANE) {
        stage.graph = started(&[role], grains, pillar)?;
    }
    Ok(chosen)
}
