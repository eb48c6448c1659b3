//! Runs of the fleet, begun and left to the conductor.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{
    Stage,
    cluster::{kubectl_json, said},
    expand::{deployment, in_master, removal},
};
use crate::{SOON, install::version_of_archive, wait_until};

/// How long a container that was killed may be away: the kubelet waits longer each time, up to half a minute.
const CONTAINER: Duration = Duration::from_secs(90);

/// A run.
pub(super) struct FleetRun<'s> {
    stage: &'s Stage,
    id: String,
}

impl<'s> FleetRun<'s> {
    /// Begins the deployment of a node as the manual does, and does not wait for it. A conductor that was killed
    /// takes its container along, which comes back.
    pub(super) fn deploy(stage: &'s Stage, node: &str) -> Result<Self> {
        Self::begin(stage, &deployment(&version_of_archive(stage.lab.bootstrap()?)?, node))
    }

    /// Begins the removal of a node, and does not wait for it.
    pub(super) fn remove(stage: &'s Stage, node: &str) -> Result<Self> {
        Self::begin(stage, &removal(&version_of_archive(stage.lab.bootstrap()?)?, node))
    }

    fn begin(stage: &'s Stage, orchestration: &str) -> Result<Self> {
        let command = format!("{orchestration} --async");
        let output = wait_until("the container `salt-master`", CONTAINER, || {
            let output = in_master(stage, &command).map_err(|error| format!("{error:#}"))?;
            if output.stderr.contains("container not found") { Err(said(&output)) } else { Ok(output) }
        })?;
        let id = output.stdout.rsplit(' ').next().unwrap_or_default().trim().to_owned();
        ensure!(id.len() == 20, "no run was begun: {}", said(&output));
        Ok(Self { stage, id })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// What the cluster knows of it.
    pub(super) fn status(&self) -> Result<Value> {
        let run =
            kubectl_json(self.stage.lab.bootstrap()?, &format!("get run {} -n metalk8s-fleet", self.id))?;
        Ok(run["status"].clone())
    }

    /// Waits until it is at a step.
    pub(super) fn at(&self, name: &str) -> Result<()> {
        wait_until(&format!("step `{name}`"), SOON, || {
            let status = self.status().map_err(|error| format!("{error:#}"))?;
            let mut steps = status["steps"].as_array().into_iter().flatten();
            let is_there = steps.any(|step| step["name"] == name && step["state"] == "Running");
            if is_there { Ok(()) } else { Err(status.to_string()) }
        })?;
        Ok(())
    }

    /// Waits until it has ended, and tells whether that was well.
    pub(super) fn end(&self, patience: Duration) -> Result<bool> {
        let ended = wait_until("the run to end", patience, || {
            let status = self.status().map_err(|error| format!("{error:#}"))?;
            match status["phase"].as_str() {
                Some("Succeeded") => Ok(true),
                Some("Failed") => Ok(false),
                _ => Err(status.to_string()),
            }
        })?;
        Ok(ended)
    }

    /// Waits until it has ended well.
    pub(super) fn succeeds(&self, patience: Duration) -> Result<()> {
        ensure!(self.end(patience)?, "run {} failed: {}", self.id, self.status()?);
        Ok(())
    }

    /// All that its steps have changed, a line each.
    pub(super) fn changes(&self) -> Result<Vec<String>> {
        let status = self.status()?;
        let steps = status["steps"].as_array().into_iter().flatten();
        let changes = steps.flat_map(|step| step["changes"].as_array().into_iter().flatten());
        Ok(changes.filter_map(Value::as_str).map(str::to_owned).collect())
    }
}
