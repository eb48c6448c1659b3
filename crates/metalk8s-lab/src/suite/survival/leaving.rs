//! A master that leaves with its member of etcd, and one that joins while others are lost.

use std::{thread::sleep, time::Duration};

use anyhow::{Context, Result, ensure};
use metalk8s_types::Role;

use super::{
    Machine, Stage, apply, etcd, kubectl,
    load::silence_of,
    losses::{kill, lose_power},
    machines, node_manifest, wait_until, walls, whole, writer,
};
use crate::{
    SOON,
    suite::{chance::Chance, fleet_run::FleetRun, listening, shrink::trace},
};

/// Who leaves and joins again.
const NAME: &str = "node1";
/// How long a removal or a deployment may take, with all that is lost meanwhile.
const PATIENCE: Duration = Duration::from_secs(600);
/// About how long a master takes to join, in seconds.
const JOINING_SECONDS: f64 = 20.0;
/// What only a master or a member of etcd has.
const OF_A_MASTER: [&str; 8] = [
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/manifests/etcd.yaml",
    "/etc/kubernetes/manifests/kube-*.yaml",
    "/etc/kubernetes/pki/apiserver.key",
    "/etc/kubernetes/pki/etcd/server.key",
    "/etc/kubernetes/pki/sa.key",
    "/etc/metalk8s/crypt/apiserver.key",
    "/var/lib/etcd",
];
/// How often a master joins under losses, which take turns.
const ROUNDS: u64 = 6;

/// The others go on without it, and its machine is as it was. Who was away meanwhile learns of it.
pub(super) fn master(stage: &Stage) -> Result<()> {
    let (bootstrap, away) = (stage.lab.bootstrap()?, writer(stage)?);
    away.run_checked("systemctl stop metalk8s-agent")?;
    let left = leaves(stage);
    away.run_checked("systemctl start metalk8s-agent")?;
    left?;
    for kinds in ["nodes", "agents -n metalk8s-fleet", "pods -n kube-system"] {
        let found = kubectl(bootstrap, &format!("get {kinds} --output name"))?;
        ensure!(!found.contains(NAME), "{kinds}: {found}");
    }
    others_forget(stage)?;
    trace::is_as_before(stage.machine(NAME)?)
}

/// It becomes a worker by its labels, and a master again: what it had as one is gone meanwhile.
pub(super) fn gives_roles_away(stage: &Stage) -> Result<()> {
    let (bootstrap, machine) = (stage.lab.bootstrap()?, stage.machine(NAME)?);
    let [master, etcd, node] = [Role::Master, Role::Etcd, Role::Node].map(Role::key);
    let become_so = |labels: &str| {
        kubectl(bootstrap, &format!("label node {NAME} {labels}"))?;
        silence_of(stage, labels, || FleetRun::deploy(stage, NAME)?.succeeds(PATIENCE))
    };
    become_so(&format!("{master}- {etcd}- {node}="))?;
    others_forget(stage)?;
    listening::as_documented(machine, &[Role::Node, Role::Infra])?;
    let left =
        machine.run_checked(&format!("ls --directory {} 2> /dev/null || true", OF_A_MASTER.join(" ")))?;
    ensure!(left.is_empty(), "these are left: {left}");
    let again = FleetRun::deploy(stage, NAME)?;
    again.succeeds(PATIENCE)?;
    let changes = again.changes()?;
    ensure!(changes.is_empty(), "deploying it again changes {changes:?}");
    become_so(&format!("{master}= {etcd}= {node}-"))?;
    whole(stage)
}

/// Nobody balances over its API server, etcd has no member of it, and firewalls no hole for it.
fn others_forget(stage: &Stage) -> Result<()> {
    let left = stage.machine(NAME)?;
    let address = left.control.to_string();
    for other in machines(stage)?.into_iter().filter(|other| other.name != NAME) {
        let members = etcd::peers(other)?;
        ensure!(members.len() == 2, "`{}` knows these members of etcd: {members:?}", other.name);
        wait_until("the balancer to forget it", SOON, || {
            let known = other.run_checked("cat /var/lib/metalk8s/apiserver-proxy/backends");
            let known = known.map_err(|error| error.to_string())?;
            match known.contains(&address) {
                true => Err(format!("`{}` knows {known}", other.name)),
                false => Ok(()),
            }
        })?;
        walls::guard(left, other, false)?;
    }
    Ok(())
}

/// It joins again, while something else is lost each time; nobody does anything about it.
pub(super) fn joins_under_losses(stage: &Stage) -> Result<()> {
    let mut chance = Chance::new(stage.options.seed);
    for round in 0..ROUNDS {
        if round > 0 {
            leaves(stage)?;
        }
        let loss = [Loss::LeaderAndApiServers, Loss::Power, Loss::LeaderAndConductor][round as usize % 3];
        let after = chance.fraction() * JOINING_SECONDS;
        let about = || format!("{loss:?} after {after:.1} s");
        silence_of(stage, &about(), || {
            let roles = [Role::Master, Role::Etcd, Role::Infra];
            let address = stage.machine(NAME)?.control.to_string();
            apply(stage, &node_manifest(stage, NAME, &address, &roles)?)?;
            let run = FleetRun::deploy(stage, NAME)?;
            sleep(Duration::from_secs_f64(after));
            loss.happens(stage)?;
            run.succeeds(PATIENCE)
        })
        .with_context(about)?;
        whole(stage)?;
    }
    Ok(())
}

fn leaves(stage: &Stage) -> Result<()> {
    silence_of(stage, "its removal", || FleetRun::remove(stage, NAME)?.succeeds(PATIENCE))
}

/// What is lost while a master joins.
#[derive(Debug, Clone, Copy)]
enum Loss {
    /// The leader of etcd, and every API server.
    LeaderAndApiServers,
    /// The whole Bootstrap node, for a while.
    Power,
    /// The leader of etcd, and the conductor.
    LeaderAndConductor,
}

impl Loss {
    fn happens(self, stage: &Stage) -> Result<()> {
        match self {
            Self::Power => return lose_power(stage, stage.lab.bootstrap()?),
            Self::LeaderAndConductor => kill(stage.lab.bootstrap()?, "metalk8s conductor")?,
            Self::LeaderAndApiServers => {
                for other in machines(stage)?.into_iter().filter(|other| other.name != NAME) {
                    kill(other, "kube-apiserver ")?;
                }
            }
        }
        kill(leader(stage)?, "etcd ")
    }
}

/// There is none for a moment when a member has just come or gone.
fn leader(stage: &Stage) -> Result<&Machine> {
    let found =
        wait_until("a leader of etcd", SOON, || etcd::leader(stage).map_err(|error| format!("{error:#}")))?;
    Ok(found)
}
