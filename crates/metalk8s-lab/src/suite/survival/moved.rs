//! Masters whose machines are given other addresses (NET-19).

use anyhow::{Result, ensure};

use super::{JOINING, Stage, etcd, load::silence_of, machines, wait_until, whole};
use crate::{
    SOON,
    suite::{
        expand::moved::{Move, answers_from, back_of, give, is_followed, there_of},
        install::moved::bootstrap_goes,
    },
};

/// An image that every node has: that it is pulled again shows that the repositories are found.
const IMAGE: &str = "$(crictl images | awk '$1 ~ /pause$/ { print $1 \":\" $2; exit }')";

/// Who moves, besides the Bootstrap node.
const NAME: &str = "node1";

/// It moves and moves back while a client writes, and its member of etcd stays the same.
pub(super) fn master(stage: &Stage) -> Result<()> {
    let machine = stage.machine(NAME)?;
    let member = etcd::member_of(machine)?;
    let there = follows(stage, &there_of(machine));
    let back = follows(stage, &back_of(machine));
    there?;
    back?;
    ensure!(etcd::member_of(machine)? == member, "its member of etcd is another one");
    Ok(())
}

fn follows(stage: &Stage, moves: &[Move; 2]) -> Result<()> {
    let [(former, control), _] = moves;
    silence_of(stage, "other addresses", || {
        give(stage.machine(NAME)?, moves)?;
        answers_from(stage, NAME, *control)?;
        is_followed(stage, NAME, moves)
    })?;
    whole(stage)?;
    for other in machines(stage)?.into_iter().filter(|other| other.name != NAME) {
        wait_until("the balancer to know it", SOON, || {
            let known = other.run_checked("cat /var/lib/metalk8s/apiserver-proxy/backends");
            let known = known.map_err(|error| error.to_string())?;
            match known.contains(&control.to_string()) && !known.contains(&former.to_string()) {
                true => Ok(()),
                false => Err(format!("`{}` knows {known}", other.name)),
            }
        })?;
    }
    Ok(())
}

/// The Bootstrap node moves and moves back while a client writes. Its own bootstrap does it, and the others find its
/// member of etcd, its API server and the repositories at the new address.
pub(super) fn bootstrap(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let member = etcd::member_of(machine)?;
    let there = bootstrap_is_followed(stage, &there_of(machine));
    let back = bootstrap_is_followed(stage, &back_of(machine));
    there?;
    back?;
    ensure!(etcd::member_of(machine)? == member, "its member of etcd is another one");
    Ok(())
}

fn bootstrap_is_followed(stage: &Stage, moves: &[Move; 2]) -> Result<()> {
    let [(former, control), _] = moves;
    silence_of(stage, "other addresses", || bootstrap_goes(stage, moves))?;
    for other in JOINING {
        let other = stage.machine(other)?;
        let places = "/etc/apt /etc/containerd /var/lib/metalk8s/apiserver-proxy";
        wait_until("it to know the Bootstrap node elsewhere", SOON, || {
            let at = |address| {
                other.run(&format!("grep -rlF {address} {places}")).map_err(|error| error.to_string())
            };
            let (there, before) = (at(control)?.stdout, at(former)?.stdout);
            match there.lines().count() >= 3 && before.is_empty() {
                true => Ok(()),
                false => Err(format!("`{}` has it in {there}, and the former one in {before}", other.name)),
            }
        })?;
        other.run_checked(&format!("crictl pull {IMAGE}"))?;
    }
    whole(stage)
}
