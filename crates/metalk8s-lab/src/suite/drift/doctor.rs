//! What the doctor says of a cluster that is well, and of one that is not.

use super::*;
use crate::{SOON, suite::fleet_run::FleetRun};

/// What the machines have from the computer that lends it to them, and whose state is none of theirs.
const HOSTS_OWN: &str = "disks";
/// A name that no Node has.
const NOBODY: &str = "nobody";

pub(super) fn is_well(stage: &Stage) -> Result<()> {
    becomes_well(stage.lab.bootstrap()?)
}

/// A run that failed is a warning, a unit that was stopped an error. Both are over before this is.
pub(super) fn names_what_is_wrong(stage: &Stage) -> Result<()> {
    let machine = stage.lab.bootstrap()?;
    let run = FleetRun::deploy(stage, NOBODY)?;
    let failed = run.end(SOON).and_then(|is_done| Ok((is_done, examine(machine)?)));
    kubectl(machine, &format!("delete run {} -n metalk8s-fleet", run.id()))?;
    let (is_done, (code, found)) = failed?;
    ensure!(!is_done, "a Node that is not there was deployed");
    let told = format!("runs warning[MK2016] run {}: {NOBODY}: ", run.id());
    ensure!(code == 4 && matches!(&*found, [one] if one.starts_with(&told)), "{code}: {found:#?}");

    machine.run_checked("systemctl stop kubelet.service")?;
    let stopped = examine(machine).and_then(|found| Ok((found, machine.run("metalk8s doctor")?)));
    machine.run_checked("systemctl start kubelet.service")?;
    let ((code, found), text) = stopped?;
    let told = format!("error[MK2010] {}: kubelet.service does not run", machine.name);
    ensure!(code == 1 && found.contains(&format!("agents {told}")), "{code}: {found:#?}");
    let is_told = text.stdout.contains(&told) && text.stdout.contains("what to do: ");
    ensure!(text.code == 1 && is_told, "{}", said(&text));
    becomes_well(machine)
}

/// After a boot, or a start of the kubelet, some seconds go by.
fn becomes_well(machine: &Machine) -> Result<()> {
    wait_until("the doctor to find nothing", SOON, || match examine(machine) {
        Ok((0, found)) if found.is_empty() => Ok(()),
        Ok((code, found)) => Err(format!("{code}: {found:#?}")),
        Err(error) => Err(format!("{error:#}")),
    })?;
    Ok(())
}

/// How the doctor ends, and what it finds: a line for each finding, with its area before it.
fn examine(machine: &Machine) -> Result<(i32, Vec<String>)> {
    let output = machine.run("metalk8s doctor --output json")?;
    let report: Value = serde_json::from_str(&output.stdout).with_context(|| said(&output))?;
    let verdicts = report["verdicts"].as_array().context("it has looked at nothing")?;
    let mut found = Vec::new();
    let mut code = output.code;
    for verdict in verdicts {
        let is_of_host = verdict["area"] == HOSTS_OWN;
        for finding in verdict["findings"].as_array().context("a verdict has no findings")? {
            let word = |key: &str| finding[key].as_str().unwrap_or_default();
            ensure!(!word("todo").is_empty(), "nothing can be done about {finding}");
            if is_of_host {
                continue;
            }
            let area = verdict["area"].as_str().unwrap_or_default();
            let (severity, code) = (word("severity"), word("code"));
            found.push(format!("{area} {severity}[{code}] {}: {}", word("subject"), word("message")));
        }
    }
    // Warnings end with 4; there may have been no other.
    if code == 4 && found.is_empty() {
        code = 0;
    }
    Ok((code, found))
}
