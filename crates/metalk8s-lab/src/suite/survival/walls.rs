//! Firewalls on all machines that drop what they do not know, and who comes through (NET-20, NET-21).

use anyhow::{Result, ensure};

use super::{Machine, Stage, machines, wait_until};
use crate::{
    Lab, SOON,
    suite::{faults::host::STRICT, install::pod::resolves_and_connects_on},
};

/// What only masters, and members of etcd, may reach on a master.
const GUARDED: [u16; 3] = [2379, 2380, 10250];

/// Before any of them is a node; also after each boot.
pub(super) fn build(lab: &Lab) -> Result<()> {
    for machine in &lab.machines {
        machine.write("/etc/nftables.conf", STRICT.as_bytes(), 0o644)?;
        machine.run_checked("systemctl enable --now nftables")?;
        for chain in ["input", "forward"] {
            machine.run_checked(&format!("nft list chain inet filter {chain} | grep -q 'policy drop'"))?;
        }
    }
    Ok(())
}

/// Each master reaches each other one.
pub(super) fn let_masters_in(stage: &Stage) -> Result<()> {
    let all = machines(stage)?;
    for from in &all {
        for to in all.iter().filter(|to| to.name != from.name) {
            guard(from, to, true)?;
        }
    }
    Ok(())
}

/// A pod on each machine resolves names, whose servers run on others.
pub(super) fn let_pods_through(stage: &Stage) -> Result<()> {
    let bootstrap = stage.lab.bootstrap()?;
    machines(stage)?.iter().try_for_each(|machine| resolves_and_connects_on(bootstrap, Some(&machine.name)))
}

/// Waits until one machine reaches the guarded ports of another, or none of them.
pub(super) fn guard(from: &Machine, to: &Machine, lets_in: bool) -> Result<()> {
    wait_until("the walls to be right", SOON, || {
        for port in GUARDED {
            let reached = reaches(from, to, port).map_err(|error| format!("{error:#}"))?;
            if reached != lets_in {
                let what = if reached { "reaches" } else { "does not reach" };
                return Err(format!("`{}` {what} port {port} of `{}`", from.name, to.name));
            }
        }
        Ok(())
    })?;
    // Otherwise it would be the way that is closed, and not the wall.
    ensure!(reaches(from, to, 6443)?, "`{}` does not even reach the API server of `{}`", from.name, to.name);
    Ok(())
}

fn reaches(from: &Machine, to: &Machine, port: u16) -> Result<bool> {
    let command = format!("socat -u OPEN:/dev/null TCP:{}:{port},connect-timeout=1", to.control);
    Ok(from.run(&command)?.success())
}
