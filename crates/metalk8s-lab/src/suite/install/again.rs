//! The same command again, and its plan.

use std::{collections::BTreeSet, time::Instant};

use anyhow::{Context, Result, ensure};
use metalk8s_diagnostics::Diagnosed;
use serde_json::Value;

use crate::{
    TemporaryLab, install,
    lab::LabConfig,
    machine::Machine,
    suite::{
        Stage,
        cluster::{bootstrap_sh, name_of, pods, said},
        inventory::listing,
    },
};

pub(super) fn changes_nothing(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let before = containers(machine)?;
    let started = Instant::now();
    let output = bootstrap_sh(machine, "--output json")?;
    ensure!(output.success(), "{}", said(&output));
    let summary: Value = serde_json::from_str(&output.stdout).context("its summary is no JSON")?;
    stage.note(format!(
        "{} of {} states changed, {:.1} s with all around it",
        summary["changed"],
        summary["states"],
        started.elapsed().as_secs_f64()
    ));
    ensure!(summary["changed"] == 0, "{}", said(&output));
    let stages = summary["stages"].as_array().context("its summary tells of no stages")?;
    let steps: Vec<&Value> = stages.iter().filter_map(|stage| stage["steps"].as_array()).flatten().collect();
    ensure!(
        summary["states"] == steps.len(),
        "{} states are told of, not {}",
        steps.len(),
        summary["states"]
    );
    let changed = steps.iter().find(|step| step["outcome"] == "changed");
    ensure!(changed.is_none(), "told of as changed: {changed:?}");
    let after = containers(machine)?;
    ensure!(before == after, "containers before {before:#?} and after {after:#?}");
    Ok(())
}

pub(super) fn plans_nothing(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let before = listing(machine)?;
    // With --exit-code, 3 is something to do.
    let output = bootstrap_sh(machine, "--dry-run --exit-code")?;
    ensure!(output.success(), "{}", said(&output));
    before.must_equal(&listing(machine)?)
}

pub(super) fn plans_on_a_bare_machine(stage: &Stage) -> Result<()> {
    let config = LabConfig {
        name: stage.lab.name.beside("dry"),
        machines: 1,
        archive: Some(stage.archive.clone()),
        bootstrap: false,
    };
    let lab = TemporaryLab::up(&config).map_err(Diagnosed::new)?;
    let machine = lab.bootstrap()?;
    install::configure(&lab)?;
    let before = listing(machine)?;
    let output = bootstrap_sh(machine, "--dry-run")?;
    ensure!(output.success(), "{}", said(&output));
    before.must_equal(&listing(machine)?)?;
    let again = bootstrap_sh(machine, "--dry-run --exit-code --output json")?;
    ensure!(again.code == 3, "with --exit-code {}", said(&again));
    let stages: Value = serde_json::from_str(&again.stdout).context("the plan is no JSON")?;
    let states =
        stages.as_array().into_iter().flatten().filter_map(|stage| stage["plan"]["steps"].as_array());
    let states = states.map(Vec::len).sum::<usize>();
    ensure!(states > 0, "the plan has no states");
    stage.note(format!("a plan of {states} states"));
    Ok(())
}

/// A container that was started anew has another id.
fn containers(machine: &Machine) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for pod in pods(machine)? {
        let name = name_of(&pod);
        for status in pod["status"]["containerStatuses"].as_array().into_iter().flatten() {
            found.insert(format!("{name} {} {}", status["name"], status["containerID"]));
        }
    }
    Ok(found)
}
