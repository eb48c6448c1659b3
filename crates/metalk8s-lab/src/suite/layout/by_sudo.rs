//! A machine that is entered by a user who needs sudo, on another port.

use anyhow::{Result, ensure};
use metalk8s_types::labels;

use super::{Stage, in_master, said};
use crate::Machine;

/// The machine. It is one of those that come together.
pub(super) const NODE: &str = "node3";
const USER: &str = "deployer";
const PORT: u16 = 2222;
/// Where its SSH server is told so.
const SSHD: &str = "/etc/ssh/sshd_config.d/suite.conf";

/// A Node manifest that says so, instead of root on the usual port. Pure.
pub(super) fn entered(manifest: &str) -> String {
    let as_root = format!("{}: 'false'\n", labels::SSH_SUDO);
    let by_sudo = format!(
        "{}: 'true'\n    {}: {USER}\n    {}: '{PORT}'\n",
        labels::SSH_SUDO,
        labels::SSH_USER,
        labels::SSH_PORT
    );
    manifest.replace(&as_root, &by_sudo)
}

/// The user may do everything after `sudo`; root is not let in, and nobody on the usual port.
pub(super) fn let_in(machine: &Machine) -> Result<()> {
    machine.run_checked(&format!(
        "set -e; useradd --create-home --shell /bin/sh {USER}; home=/home/{USER}/.ssh; \
         install --directory --mode 700 --owner {USER} --group {USER} $home; \
         install --mode 600 --owner {USER} --group {USER} /root/.ssh/authorized_keys $home/authorized_keys"
    ))?;
    let rule = format!("{USER} ALL=(ALL) NOPASSWD: ALL\n");
    machine.write(&format!("/etc/sudoers.d/{USER}"), rule.as_bytes(), 0o440)?;
    machine.write(SSHD, format!("Port {PORT}\nPermitRootLogin no\n").as_bytes(), 0o644)?;
    machine.run_checked("systemctl restart ssh")?;
    let listening = machine.run_checked("ss --no-header --listening --tcp --numeric 'sport = :22'")?;
    ensure!(listening.is_empty(), "somebody listens on port 22: {listening}");
    Ok(())
}

pub(super) fn was_entered(stage: &Stage) -> Result<()> {
    let machine = stage.machine(NODE)?;
    let output = in_master(stage, &format!("salt-ssh --roster kubernetes {NODE} test.ping"))?;
    ensure!(output.success() && output.stdout == format!("{NODE}:\n    True\n"), "{}", said(&output));
    let log = machine.run_checked("journalctl --boot --identifier sshd --output cat --no-pager")?;
    let by = |user: &str| log.contains(&format!("Accepted publickey for {user} from"));
    ensure!(by(USER) && !by("root"), "the SSH server says: {log}");
    // From here on it is looked at like the others.
    machine.run_checked(&format!("rm {SSHD} && systemctl restart ssh"))?;
    Ok(())
}
