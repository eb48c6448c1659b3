//! A machine that is gone, and one that comes back.

use anyhow::{Result, ensure};

use super::{NODE, Stage, failed_with, node_machine, nothing_in_the_cluster, remove, said, trace};

pub(super) fn by_force(stage: &Stage) -> Result<()> {
    node_machine(stage)?.cut_power()?;
    failed_with(&remove(stage, "")?, &["does not answer", "--force"])?;
    let output = remove(stage, "--force")?;
    ensure!(output.success(), "{}", said(&output));
    nothing_in_the_cluster(stage)
}

/// The cluster answers it, and does not know it: so nothing has to be forced. Its kubelet may have registered a
/// Node before, which is removed like any other.
pub(super) fn comes_back(stage: &Stage) -> Result<()> {
    let machine = node_machine(stage)?;
    machine.start()?;
    machine.wait_booted()?;
    let output = machine.run_for("metalk8s reset --yes --no-progress", super::PATIENCE)?;
    ensure!(output.success(), "{NODE}: {}", said(&output));
    let output = remove(stage, "--force")?;
    ensure!(output.success(), "{}", said(&output));
    nothing_in_the_cluster(stage)?;
    trace::none(stage)
}
