//! A file system for etcd alone, mounted before its machine gets the role (PRE-10, P007).
//!
//! Machines of a lab have no disks: it is an ext4 in a loop device, with a line of fstab as for a disk. That nobody
//! else writes to it, which a disk is for, is not shown by that.

use anyhow::{Context, Result, bail, ensure};
use metalk8s_types::Role;
use serde_json::{Value, json};

use super::{
    Stage, deploy_node, items, said, text,
    wish::{LAYOUT, Wish},
};
use crate::Machine;

/// The machine that has it: a member of etcd at first and afterwards.
const NODE: &str = "node1";
const DATA: &str = "/var/lib/etcd";
const DATABASE: &str = "/var/lib/etcd/member/snap/db";
/// The file behind the loop device.
const FILE: &str = "/var/etcd.disk";

/// It is made and mounted, and what is looked at before a deployment finds nothing wrong with it.
pub(super) fn is_mounted(stage: &Stage) -> Result<()> {
    let machine = stage.machine(NODE)?;
    machine.run_checked(&format!(
        "set -e; truncate --size 1G {FILE}; mkfs.ext4 -q -F {FILE}; mkdir -p {DATA}; \
         echo '{FILE} {DATA} ext4 loop 0 2' >> /etc/fstab; mount {DATA}"
    ))?;
    device(machine)?;
    LAYOUT.into_iter().find(|wish| wish.name == NODE).context("it shall be no node")?.apply(stage)?;
    let shown = format!("metalk8s node deploy {NODE} --dry-run --output json");
    let shown = stage.lab.bootstrap()?.run_checked(&shown)?;
    let trials: Value = serde_json::from_str(&shown).with_context(|| format!("no JSON: {shown}"))?;
    ensure!(trials[0]["failure"] == json!([]), "it cannot be done: {trials}");
    let examined = items(&trials[0]["steps"]).iter().find(|step| step["step"] == "examine");
    let examined = text(&examined.context("the machine was not examined")?["comment"]);
    let is_good = examined.starts_with("nothing speaks against it") && !examined.contains("etcd");
    ensure!(is_good, "of the machine is said: {examined}");
    Ok(())
}

/// The member at work has its data there, and nobody but etcd may read it.
pub(super) fn has_the_data(stage: &Stage) -> Result<()> {
    let machine = stage.machine(NODE)?;
    let device = device(machine)?;
    let found = machine.run_checked(&format!("stat --format '%U %G %a' {DATA}"))?;
    ensure!(found == "etcd etcd 700", "owner, group and mode of {DATA} are {found}");
    let on = machine.run_checked(&format!(
        "set -e; test -s {DATABASE}; findmnt --noheadings --output SOURCE --target {DATABASE}"
    ))?;
    ensure!(on.trim() == device, "{DATABASE} is on {on}, and not on {device}");
    machine
        .run_checked(&format!(
            "set -e; member=$(pgrep --exact --newest etcd); test /proc/$member/root{DATABASE} -ef {DATABASE}"
        ))
        .context("the member of etcd has other data")?;
    Ok(())
}

/// The node gives the role away: what was the member's is gone, and there is room for another member.
pub(super) fn is_emptied(stage: &Stage) -> Result<()> {
    Wish { name: NODE, roles: &[Role::Node], taints: &[] }.apply(stage)?;
    let output = deploy_node(stage, NODE)?;
    ensure!(output.success(), "{}", said(&output));
    let machine = stage.machine(NODE)?;
    device(machine)?;
    let left = machine.run_checked(&format!("ls --almost-all {DATA}"))?;
    ensure!(left.is_empty(), "these are left: {left}");
    let again = deploy_node(stage, NODE)?;
    ensure!(again.success() && !again.stdout.contains("changed="), "{}", said(&again));
    Ok(())
}

/// What is mounted there, which must be the loop device of the file.
fn device(machine: &Machine) -> Result<String> {
    let mounted = machine.run_checked(&format!("findmnt --noheadings --output FSTYPE,SOURCE {DATA}"))?;
    let words: Vec<&str> = mounted.split_whitespace().collect();
    let ["ext4", device] = words[..] else { bail!("on {DATA} is mounted: {mounted}") };
    let file = machine.run_checked(&format!("losetup --list --noheadings --output BACK-FILE {device}"))?;
    ensure!(file.trim() == FILE, "behind {device} is {file}");
    Ok(device.to_owned())
}
