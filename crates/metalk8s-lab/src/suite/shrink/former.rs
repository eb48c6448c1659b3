//! The certificate of an agent whose node has left.

use anyhow::{Result, ensure};
use metalk8s_types::paths;

use super::{NODE, Stage, deploy, node_machine, said, wait_until};
use crate::{SOON, suite::expand::in_master};

/// Where somebody else has kept it.
const KEPT: &str = "/root/former-agent.conf";
/// What an agent has to read.
const OWN: [&str; 2] = ["get secret settings", "get agent node1"];

/// It is kept on the Bootstrap node, where the balancer has the same address, and reads what it may.
pub(super) fn reads(stage: &Stage) -> Result<()> {
    let certificate = node_machine(stage)?.run_checked(&format!("cat {}", paths::AGENT_KUBECONFIG))?;
    stage.lab.bootstrap()?.write(KEPT, certificate.as_bytes(), 0o600)?;
    for command in OWN {
        ensure!(may(stage, command)?, "the agent of a node may not `{command}`");
    }
    Ok(())
}

/// Its node is gone, and it is valid for a long time yet.
pub(super) fn reads_nothing(stage: &Stage) -> Result<()> {
    wait_until("the certificate to be of no use", SOON, || {
        for command in OWN {
            if may(stage, command).map_err(|error| format!("{error:#}"))? {
                return Err(format!("it may `{command}`"));
            }
        }
        Ok(())
    })?;
    Ok(())
}

/// The key is deleted as the manual does it, and the machine is deployed once more.
pub(super) fn key_deleted(stage: &Stage) -> Result<()> {
    reads(stage)?;
    let output = in_master(stage, &format!("salt-key --yes -d {NODE}"))?;
    ensure!(output.success(), "{}", said(&output));
    reads_nothing(stage)?;
    deploy(stage)?;
    reads(stage)
}

/// Whether the certificate is let in and allowed.
fn may(stage: &Stage, command: &str) -> Result<bool> {
    let output = stage
        .lab
        .bootstrap()?
        .run(&format!("kubectl --kubeconfig {KEPT} --request-timeout 20s {command} -n metalk8s-fleet"))?;
    let is_forbidden = output.stderr.contains("Forbidden") || output.stderr.contains("forbidden");
    ensure!(output.success() || is_forbidden, "kubectl {command}: {}", said(&output));
    Ok(output.success())
}
