//! The bus as whoever gives jobs and asks for runs needs it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use metalk8s_kube::{
    Fleet,
    fleet::{FleetError, Follow},
};
use metalk8s_types::fleet::{Agent, Job, Run, RunSpec};

/// What the master does over the bus; [`Fleet`] is the one of a cluster.
#[async_trait]
pub trait Bus: Send + Sync {
    /// All agents, by name.
    async fn agents(&self) -> Result<Vec<Agent>, FleetError>;

    /// Gives jobs to a node and takes others (`None`) away from it.
    async fn give_jobs(&self, node: &str, jobs: &BTreeMap<String, Option<Job>>) -> Result<Agent, FleetError>;

    /// What happens to the agent of one node, or to all agents.
    fn follow_agents(&self, node: Option<&str>) -> Follow<Agent>;

    /// The same, after one of them had this `resourceVersion`; what was before may be told as well.
    fn follow_agents_after(&self, node: Option<&str>, version: String) -> Follow<Agent>;

    /// Lets a node leave the fleet; whether it had an agent.
    async fn remove_agent(&self, node: &str) -> Result<bool, FleetError>;

    /// Asks for a run.
    async fn create_run(&self, name: &str, spec: &RunSpec) -> Result<Run, FleetError>;

    /// All runs, the oldest first.
    async fn runs(&self) -> Result<Vec<Run>, FleetError>;

    /// What happens to one run, or to all of them.
    fn follow_runs(&self, run: Option<&str>) -> Follow<Run>;
}

#[async_trait]
impl Bus for Fleet {
    async fn agents(&self) -> Result<Vec<Agent>, FleetError> {
        Self::agents(self).await
    }

    async fn give_jobs(&self, node: &str, jobs: &BTreeMap<String, Option<Job>>) -> Result<Agent, FleetError> {
        Self::give_jobs(self, node, jobs).await
    }

    fn follow_agents(&self, node: Option<&str>) -> Follow<Agent> {
        Self::follow_agents(self, node)
    }

    fn follow_agents_after(&self, node: Option<&str>, version: String) -> Follow<Agent> {
        Self::follow_agents_after(self, node, version)
    }

    async fn remove_agent(&self, node: &str) -> Result<bool, FleetError> {
        Self::remove_agent(self, node).await
    }

    async fn create_run(&self, name: &str, spec: &RunSpec) -> Result<Run, FleetError> {
        Self::create_run(self, name, spec).await
    }

    async fn runs(&self) -> Result<Vec<Run>, FleetError> {
        Self::runs(self).await
    }

    fn follow_runs(&self, run: Option<&str>) -> Follow<Run> {
        Self::follow_runs(self, run)
    }
}
