//! Two bootstraps at once.

use std::thread;

use anyhow::{Result, anyhow, ensure};

use super::{damage, is_as_undisturbed, refusal::Refusal};
use crate::{
    SOON,
    suite::{
        Stage,
        cluster::{bootstrap_sh, said},
    },
    wait_until,
};

pub(super) fn second_is_refused(stage: &Stage) -> Result<()> {
    // The machine is as the refusals before have left it, which is as if nothing had happened.
    damage::repair(stage)?;
    let machine = stage.lab.bootstrap()?;
    let (first, second) = thread::scope(|scope| {
        let first = scope.spawn(|| bootstrap_sh(machine, ""));
        let second = wait_until("the first one to begin", SOON, || {
            machine.run_checked("test -s /var/lib/metalk8s/runs/lock && ls /var/lib/metalk8s/runs/*.jsonl")
        })
        .map_err(anyhow::Error::new)
        .and_then(|_| bootstrap_sh(machine, ""));
        (first.join(), second)
    });
    let first = first.map_err(|_| anyhow!("the thread of the first one ended"))??;
    ensure!(first.success(), "the first one: {}", said(&first));
    Refusal { code: "MK1002", names: &["bootstrap, process "] }.is(&second?)?;
    is_as_undisturbed(stage)
}
