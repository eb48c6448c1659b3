//! A master whose machine is given other addresses (NET-19).

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Stage, etcd, load::silence_of, machine, machines, wait_until, whole};
use crate::suite::expand::moved::{Move, answers_from, back_of, give, is_followed, there_of};

/// Who moves.
const NAME: &str = "node1";

/// It moves and moves back while a client writes, and its member of etcd stays the same.
pub(super) fn master(stage: &Stage) -> Result<()> {
    let machine = machine(stage, NAME)?;
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
        give(machine(stage, NAME)?, moves)?;
        answers_from(stage, NAME, *control)?;
        is_followed(stage, NAME, moves)
    })?;
    whole(stage)?;
    for other in machines(stage)?.into_iter().filter(|other| other.name != NAME) {
        wait_until("the balancer to know it", Duration::from_secs(60), || {
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
