//! `metalk8s reset`: this machine is as it was before it became a node.

use std::{fs, path::Path};

use metalk8s_diagnostics::{Code, Diagnose, Hint, Progress, code_of_io, explain, sentence};
use metalk8s_engine::{
    ApplyOptions, Hands, Plan, PlanStep, Planned, Report, State, StateError, apply, state::Service,
};
use metalk8s_formulas::{AGENT_UNIT, Stage, reset};
use metalk8s_host::Host;
use metalk8s_kube::Fleet;
use metalk8s_types::paths;
use serde::Serialize;

use crate::{
    join,
    stages::{RunError, failures},
};

/// The stage before which the machine is looked at again: pods that were just being started, and have ended by
/// then, have left more than there was at first.
const AFTER_PODS: usize = 1;
/// The unit that resets the rest of a machine whose agent has told of everything else.
pub(crate) const LAST_UNIT: &str = "metalk8s-reset";

/// What a reset of this machine is asked for.
#[derive(Debug, Clone, Default)]
pub struct ResetOptions {
    /// Also where the machine is a member of a cluster that answers.
    pub force: bool,
    /// The agent stays, and can tell how it went.
    pub keeps_agent: bool,
}

/// What a reset did.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Removal {
    /// What was removed, a line each.
    pub removed: Vec<String>,
}

/// Why a machine is not reset.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// It works.
    #[error("this machine is the node `{node}` of a cluster that answers")]
    Member {
        /// Its name there.
        node: String,
    },
    /// It cannot be looked at.
    #[error("could not look at this machine")]
    Look(#[source] StateError),
    /// The agent.
    #[error("could not restart the agent")]
    Restart(#[source] StateError),
    /// The agent's way to the API.
    #[error("could not give the agent another way to the API in `{path}`")]
    Kubeconfig {
        /// The kubeconfig.
        path: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Diagnose for ResetError {
    fn code(&self) -> Option<Code> {
        match self {
            Self::Member { .. } => Some(explain::WRONG_USAGE),
            Self::Look(_) => Some(explain::STATE_CHECK_FAILED),
            Self::Restart(_) => Some(explain::STATE_FAILED),
            Self::Kubeconfig { source, .. } => Some(code_of_io(source)),
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Member { node } => vec![
                Hint(format!(
                    "`metalk8s node remove {node}` on the Bootstrap node has it leave, and resets it"
                )),
                Hint(
                    "`--force` resets it all the same; on the Bootstrap node this is the end of the cluster"
                        .into(),
                ),
            ],
            Self::Look(_) | Self::Restart(_) | Self::Kubeconfig { .. } => Vec::new(),
        }
    }
}

/// All that is to be gone, in stages. Reads only.
///
/// # Errors
/// When the machine works as a node and this is not forced, or cannot be looked at.
pub async fn decide(host: &Host, node: &str, options: &ResetOptions) -> Result<Vec<Stage>, ResetError> {
    if !options.force && is_member(node).await {
        return Err(ResetError::Member { node: node.to_owned() });
    }
    let found = host.leftovers().map_err(ResetError::Look)?;
    Ok(reset(&found, options.keeps_agent))
}

/// Whether a cluster answers, and knows this machine as a node of its fleet.
async fn is_member(node: &str) -> bool {
    if !Path::new(paths::AGENT_KUBECONFIG).exists() {
        return false;
    }
    match Fleet::lazy(paths::AGENT_KUBECONFIG).agent(node).await {
        Ok(agent) => agent.is_some(),
        Err(error) => {
            tracing::info!(error = sentence(&error), "the cluster does not answer");
            false
        }
    }
}

/// Has the agent speak to this API server (`https://address:port`) from now on: the local balancer goes. Its jobs go
/// on while it is restarted.
///
/// # Errors
/// When its kubeconfig cannot be written, or it cannot be restarted.
pub async fn redirect_agent(hands: &dyn Hands, server: &str) -> Result<(), ResetError> {
    let path = paths::AGENT_KUBECONFIG;
    let failed = |source| ResetError::Kubeconfig { path, source };
    let text = fs::read_to_string(path).map_err(failed)?;
    let new = redirected(&text, server);
    if new == text {
        return Ok(());
    }
    join::write(Path::new(path), new.as_bytes(), 0o600)
        .map_err(|error| failed(std::io::Error::other(sentence(&error))))?;
    let agent = State::Service(Service::running(AGENT_UNIT));
    hands.react(&agent).await.map(drop).map_err(ResetError::Restart)
}

/// A kubeconfig of ours with another server. Pure.
fn redirected(kubeconfig: &str, server: &str) -> String {
    let line = |line: &str| match line.split_once("server:") {
        Some((before, _)) if before.trim().is_empty() => format!("{before}server: \"{server}\"\n"),
        _ => format!("{line}\n"),
    };
    kubeconfig.lines().map(line).collect()
}

/// Removes it, stage by stage. What is gone already is left alone, so that the same call goes on.
///
/// # Errors
/// When something cannot be removed; everything before it is gone.
pub async fn carry_out(
    mut stages: Vec<Stage>,
    host: &Host,
    keeps_agent: bool,
    progress: &Progress,
) -> Result<Removal, RunError> {
    let mut removal = Removal::default();
    for index in 0..stages.len() {
        if index == AFTER_PODS
            && let Ok(found) = host.leftovers()
        {
            stages = reset(&found, keeps_agent);
        }
        let Stage { title, graph, .. } = &stages[index];
        let title = *title;
        let step = progress.step(title);
        let report = apply(graph, host, &(), &ApplyOptions::default())
            .await
            .map_err(|source| RunError::Graph { title, source })?;
        removal.removed.extend(changes(&report));
        if !report.is_success() {
            step.fail(Some(&failures(&report).join("\n")));
            return Err(RunError::of_stage(title, graph, report));
        }
        step.done();
    }
    Ok(removal)
}

/// What a plan would remove, a line each; what could not be looked at is told as such. Pure.
pub fn lines(plan: &Plan) -> Vec<String> {
    let line = |step: &PlanStep| match &step.planned {
        Planned::Change { change } => Some(change.summary.clone()),
        Planned::Failed { error, causes } => Some(format!("{error}: {}", causes.join(": "))),
        Planned::Nothing
        | Planned::React { .. }
        | Planned::NotNeeded { .. }
        | Planned::Unknown { .. }
        | Planned::Blocked { .. } => None,
    };
    plan.steps.iter().filter_map(line).collect()
}

fn changes(report: &Report) -> impl Iterator<Item = String> {
    report.steps.iter().flat_map(|step| step.changes.iter().map(|change| change.summary.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_led_to_another_server_and_keeps_all_else() {
        let text = "clusters:\n- cluster:\n    certificate-authority-data: x\n    server: \"https://127.0.0.1:7443\"\n  name: k\n";
        let expected = text.replace("127.0.0.1:7443", "10.0.0.1:6443");
        assert_eq!(redirected(text, "https://10.0.0.1:6443"), expected);
    }
}
