//! Plans over two nodes: made of both or of one, applied to both, refused for both.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Machine, NODE, Stage, node_machine, said};
use crate::suite::drift::{FILE, PLAN, change_file, changes, metalk8s, metalk8s_json, none_left};

/// Where each machine keeps the file as it shall be.
const KEPT: &str = "/root/crictl.yaml";

/// What differs on both nodes is in one plan, and is put right by it.
pub(super) fn are_applied(stage: &Stage) -> Result<()> {
    while_both_differ(stage, |bootstrap, worker| {
        let plan = metalk8s_json(bootstrap, &format!("plan --out {PLAN}"), 0)?;
        is_of(&plan, &[bootstrap, worker])?;
        let alone = metalk8s_json(bootstrap, &format!("plan --node {NODE}"), 0)?;
        is_of(&alone, &[worker])?;
        metalk8s(bootstrap, "drift", 3)?;
        let done = metalk8s_json(bootstrap, &format!("apply {PLAN} --yes"), 0)?;
        for machine in [bootstrap, worker] {
            ensure!(done["nodes"][&machine.name]["changed"] == 1, "{done:#}");
            machine.run_checked(&format!("cmp {FILE} {KEPT}"))?;
        }
        none_left(bootstrap)
    })
}

/// The worker moves; without it the Bootstrap node would be the first that is changed, as a master.
pub(super) fn are_refused(stage: &Stage) -> Result<()> {
    while_both_differ(stage, |bootstrap, worker| {
        metalk8s(bootstrap, &format!("plan --out {PLAN}"), 0)?;
        worker.run_checked(&format!("echo '# by somebody else' >> {FILE}"))?;
        let digests = || -> Result<_> { Ok([digest(bootstrap)?, digest(worker)?]) };
        let before = digests()?;
        let refused = metalk8s(bootstrap, &format!("apply {PLAN} --yes"), 5)?;
        let has_moved = |name: &str| refused.stderr.contains(&format!("{name}: different: "));
        ensure!(has_moved(NODE) && !has_moved(&bootstrap.name), "{}", said(&refused));
        let after = digests()?;
        ensure!(before == after, "the files were {before:?}, and are {after:?}: {}", said(&refused));
        metalk8s(bootstrap, "drift", 3).map(drop)
    })
}

/// Does something while a file of the product is changed on both machines, and puts the files back.
fn while_both_differ(stage: &Stage, act: impl FnOnce(&Machine, &Machine) -> Result<()>) -> Result<()> {
    let (bootstrap, worker) = (stage.lab.bootstrap()?, node_machine(stage)?);
    for machine in [bootstrap, worker] {
        machine.run_checked(&format!("cp --preserve=all {FILE} {KEPT}"))?;
    }
    let done =
        change_file(bootstrap).and_then(|()| change_file(worker)).and_then(|()| act(bootstrap, worker));
    for machine in [bootstrap, worker] {
        machine.run_checked(&format!("mv {KEPT} {FILE}"))?;
    }
    bootstrap.run_checked(&format!("rm --force {PLAN}"))?;
    done?;
    none_left(bootstrap)
}

fn digest(machine: &Machine) -> Result<String> {
    Ok(machine.run_checked(&format!("sha256sum {FILE}"))?)
}

/// The plan is of these nodes and of no others; each would write the file, and nothing else.
fn is_of(plan: &Value, machines: &[&Machine]) -> Result<()> {
    let planned = plan["plans"].as_object().context("there are no plans")?;
    ensure!(planned.len() == machines.len(), "it is not of {} nodes: {plan:#}", machines.len());
    let written = format!("write {FILE}");
    for machine in machines {
        let found = changes(plan, machine).with_context(|| format!("{}: {plan:#}", machine.name))?;
        let is_it = matches!(
            &*found,
            [(_, summary, diff)] if *summary == written && diff.lines().any(|line| line == "-debug: true")
        );
        ensure!(is_it, "{} would change {found:?}", machine.name);
    }
    Ok(())
}
