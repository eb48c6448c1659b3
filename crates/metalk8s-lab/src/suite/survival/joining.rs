//! Machines become masters with members of etcd by the commands of the manual, as `tests/procedures` has them.

use anyhow::{Result, bail};
use metalk8s_types::Role;

use super::{JOINING, Stage};
use crate::{
    procedures::{Book, Facts, Runner, Verdict},
    suite::manual::ground::{Ground, book},
};

const ROLES: [Role; 3] = [Role::Etcd, Role::Infra, Role::Master];
/// For each machine: its manifest is applied, all nodes are listed, a shell opens in the salt-master container, the
/// machine is reached over SSH, and it is deployed.
const OF_EACH: [&str; 5] = ["P032", "P033", "P034", "P035", "P036"];
/// When all have joined: a shell opens in the etcd container, and all members are healthy.
const AFTERWARDS: [&str; 2] = ["P037", "P038"];

/// One machine joins after the other, and each command must show what the manual says.
pub(super) fn by_the_manual(stage: &Stage) -> Result<()> {
    let book = book(&stage.options.checkout)?;
    for name in JOINING {
        carry_out(stage, &book, name, &OF_EACH)?;
    }
    let [.., last] = JOINING;
    carry_out(stage, &book, last, &AFTERWARDS)
}

/// Each command takes for granted what the one before it did, so the first that fails is the last.
fn carry_out(stage: &Stage, book: &Book, new_node: &str, ids: &[&str]) -> Result<()> {
    let ground = Ground::new(&stage.lab, new_node);
    let facts = Facts { etcd_members: 1 + JOINING.len(), ..ground.facts(&ROLES)? };
    let runner = Runner { book, facts: &facts, place: &ground };
    for id in ids {
        if let Verdict::Failed { problems } = runner.run_one(id) {
            bail!("{id} of the manual, for `{new_node}`: {}", problems.join("\n"));
        }
    }
    Ok(())
}
