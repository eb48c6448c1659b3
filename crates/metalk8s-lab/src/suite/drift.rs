//! A machine that is not what it shall be: seen with its difference, put right exactly as it was agreed upon.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use metalk8s_diagnostics::{Diagnosed, Printer};
use serde_json::Value;

use super::{
    Check, Options, Stage, Suite, Tally,
    cluster::{kubectl, said, wait_settled},
    install::nothing_leaves,
    run_checks,
};
use crate::{Machine, lab::Lab, process::Output, wait_until};

mod by_itself;
mod doctor;
mod plans;

/// Run by `metalk8s-lab suite drift`.
pub const SUITE: Suite =
    Suite { name: "drift", about: "what was changed by hand is seen, and put right as agreed upon", run };

/// A file of the product that everybody may read.
pub(super) const FILE: &str = "/etc/crictl.yaml";
/// A file of the product that only the API server may read.
const PRIVATE: &str = "/etc/kubernetes/encryption.conf";
/// Where a plan is kept.
pub(super) const PLAN: &str = "/root/plan.json";

const CHECKS: &[Check] = &[
    Check { name: "a node that was just made is what it shall be", run: plans::as_wished },
    Check { name: "the doctor finds nothing wrong with a cluster that is well", run: doctor::is_well },
    Check {
        name: "the doctor names a run that failed and a unit that was stopped, each with its own exit code",
        run: doctor::names_what_is_wrong,
    },
    Check {
        name: "a changed file, a stopped unit and a deleted object are in the plan, with diffs",
        run: plans::sees_drift,
    },
    Check {
        name: "a plan is refused with the difference when the world has moved, and nothing is changed",
        run: plans::refuses,
    },
    Check { name: "a plan is applied, and then there is none", run: plans::applies },
    Check { name: "what a private file holds is shown nowhere", run: plans::keeps_secrets },
    Check { name: "a plan of another cluster is refused, and so is one that was edited", run: plans::others },
    Check { name: "an agent that does not answer is named, with a status of its own", run: plans::silent },
    Check {
        name: "the agent looks by itself, and tells it in its object, in the list of nodes and as metrics",
        run: by_itself::tells,
    },
];
/// Only where all is asked for.
const MORE_CHECKS: &[Check] = &[
    Check { name: "a plan whose application was killed goes on", run: plans::goes_on },
    Check {
        name: "a plan is refused when a private file has moved, and applied when it is as it was",
        run: plans::sees_secrets_move,
    },
];
const AFTERWARDS: &[Check] = &[Check { name: "nothing has tried to leave the lab", run: nothing_leaves }];

fn run(options: &Options, printer: &mut Printer) -> Result<Tally> {
    let lab = Lab::find(&options.lab).map_err(Diagnosed::new)?;
    wait_settled(lab.bootstrap()?)?;
    let checks = options.checks(CHECKS, MORE_CHECKS, AFTERWARDS);
    Ok(run_checks(&checks, &Stage::new(lab, options.archive.clone(), options), printer))
}

/// Runs `metalk8s` with these words, which must end with this status.
pub(super) fn metalk8s(machine: &Machine, words: &str, code: i32) -> Result<Output> {
    let output = machine.run_for(&format!("metalk8s {words}"), Duration::from_secs(600))?;
    ensure!(output.code == code, "`metalk8s {words}` must end with {code}: {}", said(&output));
    Ok(output)
}

/// The same with a result in JSON.
pub(super) fn metalk8s_json(machine: &Machine, words: &str, code: i32) -> Result<Value> {
    let output = metalk8s(machine, &format!("{words} --format json"), code)?;
    serde_json::from_str(&output.stdout).with_context(|| format!("metalk8s {words}: no JSON"))
}

/// The changes in an answer of `metalk8s plan`, each with its summary and its diff.
pub(super) fn changes<'a>(plan: &'a Value, machine: &Machine) -> Result<Vec<(&'a str, &'a str, &'a str)>> {
    let changes = plan["plans"][&machine.name]["changes"].as_array().context("the plan has no changes")?;
    let text = |value: &'a Value| value.as_str().unwrap_or_default();
    let told =
        |change: &'a Value| (text(&change["id"]), text(&change["summary"]), text(&change["diff"]["text"]));
    Ok(changes.iter().map(told).collect())
}

/// Somebody changes a file of ours.
pub(super) fn change_file(machine: &Machine) -> Result<()> {
    machine.run_checked(&format!("echo 'debug: true' >> {FILE}"))?;
    Ok(())
}

/// Nobody would change anything now.
pub(super) fn none_left(machine: &Machine) -> Result<()> {
    metalk8s(machine, "drift", 0).map(drop)
}
