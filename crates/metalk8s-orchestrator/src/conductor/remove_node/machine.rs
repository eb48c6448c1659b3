//! The machine of a node that goes: its agent undoes what was done there, and then itself.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::time::Instant;

use super::{
    super::{
        failure::{Failure, told},
        runs::Done,
    },
    RemoveNode,
};
use crate::{
    dispatch::{Call, job},
    reset::LAST_UNIT,
};
use metalk8s_diagnostics::explain;

/// How long the machine has to undo everything.
const RESET: Duration = Duration::from_secs(900);
/// How long a command has that does little.
const SHORT: Duration = Duration::from_secs(60);
/// How long an agent is waited for whose way to the API has just been changed.
const BLIND: Duration = Duration::from_secs(90);
/// How long the agent has to tell that its end was asked for, in seconds.
const LAST_WORD: u32 = 5;

impl RemoveNode {
    pub(super) async fn machine(&mut self) -> Result<Done, Failure> {
        if let Some(why) = self.no_agent().await? {
            return Ok(Done::nothing(why));
        }
        let command = "metalk8s reset --yes --force --keep-agent --output json";
        let told = self.run_there(command, RESET).await?;
        let removed: Value = serde_json::from_str(&told).map_err(|error| {
            let line = format!("`metalk8s reset` on `{}` told nothing that can be read: {error}", self.name);
            Failure::new(explain::AGENT_FAILED, line)
        })?;
        let changes: Vec<String> = removed["removed"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|line| line.as_str().map(str::to_owned))
            .collect();
        Ok(Done { comment: format!("{} things were removed", changes.len()), changes })
    }

    pub(super) async fn would_reset(&mut self) -> Result<Done, Failure> {
        if let Some(why) = self.no_agent().await? {
            return Ok(Done::nothing(why));
        }
        let told = self.run_there("metalk8s reset --plan --force --keep-agent", SHORT).await?;
        let changes: Vec<String> =
            told.lines().filter_map(|line| line.strip_prefix("  ")).map(str::to_owned).collect();
        Ok(Done { comment: format!("{} things would be removed", changes.len()), changes })
    }

    /// Its own way to the API goes with its member of etcd, and with its pods: the agent is led past them before.
    pub(super) async fn redirect(&mut self) -> Result<Done, Failure> {
        if let Some(why) = self.no_agent().await? {
            return Ok(Done::nothing(why));
        }
        let settings = self.hands.settings().await?;
        let mut others = settings.masters.iter().filter(|(node, _)| **node != self.name);
        let (node, address) =
            others.next().ok_or_else(|| Failure::new(explain::NODE_NEEDED, "no other master is known"))?;
        let server = SocketAddr::new(*address, 6443);
        self.run_there(&format!("metalk8s reset --redirect-agent https://{server}"), SHORT).await?;
        if !self.answers().await? {
            let line = format!("the agent of `{}` does not reach the API server of `{node}`", self.name);
            return Err(Failure::new(explain::API_UNREACHABLE, line));
        }
        Ok(Done::nothing(format!("it speaks to the API server of `{node}`")))
    }

    /// What is left after that is the agent itself, whose end nobody could tell: a unit of its own does it. Timers may
    /// be a minute late, unless they are told.
    pub(super) async fn leave(&mut self) -> Result<Done, Failure> {
        // The step before has heard it: who is silent now has left, or is given up.
        if !self.answers().await? {
            return Ok(Done::nothing("its agent does not answer"));
        }
        let command = format!(
            "systemd-run --quiet --collect --unit {LAST_UNIT} --on-active={LAST_WORD} \
             --timer-property=AccuracySec=100ms /usr/bin/metalk8s reset --yes --force"
        );
        self.run_there(&command, SHORT).await?;
        Ok(Done::change("it ends within seconds, with its files", format!("agent on {}", self.name)))
    }

    /// Why there is nobody on the machine who could do something.
    pub(super) async fn no_agent(&mut self) -> Result<Option<String>, Failure> {
        if self.hands.agent(&self.name).await?.is_none() {
            return Ok(Some("it has no agent".to_owned()));
        }
        if self.answers().await? {
            return Ok(None);
        }
        if self.spec.procedure.force {
            return Ok(Some(
                "its agent does not answer: `metalk8s reset` on the machine removes what is there, should it come back"
                    .to_owned(),
            ));
        }
        let line = format!(
            "the agent of `{}` does not answer any more; start its machine, or remove the node with --force",
            self.name
        );
        Err(Failure::new(explain::AGENT_SILENT, line))
    }

    /// Whether its agent answers, also where a step that was interrupted has made it blind for a while.
    async fn answers(&mut self) -> Result<bool, Failure> {
        let end = Instant::now() + BLIND;
        while !self.is_given_up && !self.hands.answers(&self.name).await? {
            self.is_given_up = self.spec.procedure.force;
            if Instant::now() > end {
                return Ok(false);
            }
        }
        Ok(!self.is_given_up)
    }

    /// Has the machine run a command; what it wrote.
    async fn run_there(&self, command: &str, patience: Duration) -> Result<String, Failure> {
        // What is already removed is left alone.
        let call = Call { once: false, ..Call::new("cmd.run_all", [command], patience) };
        let (_, ran) = job(&self.hands.fleet, &self.name, &call).await.map_err(|error| told(&error))?;
        let text = |key: &str| ran[key].as_str().unwrap_or_default();
        if ran["retcode"] == 0 {
            return Ok(text("stdout").to_owned());
        }
        let mut lines = vec![format!("`{command}` on `{}` ended with {}", self.name, ran["retcode"])];
        lines.extend(text("stderr").lines().map(str::to_owned));
        Err(Failure::of_lines(explain::AGENT_FAILED, lines))
    }
}
